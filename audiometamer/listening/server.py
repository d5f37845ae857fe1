"""The experiment over HTTP: the page, the sounds or images, and answers that are confirmed only after they are on disk.

What a page may ask for. JSON both ways; ``Authorization: Bearer <token>`` where a token is named; a link to a listener is
``/#<token>``, whose part after ``#`` browsers keep to themselves. Nothing names a condition, or an answer before it is given.

``GET /``, ``GET /page/<file>``
    The page: the files that lie in ``page/`` when the server starts, and no others.
``POST /api/enrol`` {"service": "prolific" | "mturk" | "anyone", "parameters": {name: text}}
    A token for who comes without one: {"token"}. `parameters` are those of the address (``PROLIFIC_PID``; ``workerId`` and
    ``assignmentId``). Only for the service that the server is open to; who comes again resumes where they were. So many a minute
    are let in; to others 429 says in ``Retry-After`` how many seconds to wait. Where Prolific signs the study's links,
    ``prolific_token`` is among the parameters and must hold.
``GET /api/session`` (token)
    All that the page needs; see `audiometamer.listening.session`. Asked for at the start and after every reload: ``state.next``
    is the trial to go on with.
``GET /api/trials/<n>`` (token), ``GET /api/trials/<n>?waiting`` where the listener has nothing else to do meanwhile
    Where trials are decided on the way: {"trial", "progress", "rest"}, once the trial is decided. It is the one whose turn it is,
    or the one after it, to be ready in time; `trial` is null where that depends on the answer, see
    `audiometamer.listening.deciding`.
``GET /sounds/<stimulus>.wav`` (token)
    A sound of the listener's own trials, or ``calibrationnoise``, by which the level is set.
``GET /images/<stimulus>.png`` (token)
    In their place, where images are shown: those of one trial, one below the other.
``GET /pictures/<k>.png``
    Of the kth possible answer, from 1, where answers have pictures.
``POST /api/messages`` (token) an answer, a form or events; see `audiometamer.listening.messages`
    Confirmed with {"kept": key, "state", "feedback"} after it is committed to disk; `feedback` is {"correct", "answer"} after a
    practice trial and null else. The same message may be sent again and again. Form ``consent`` comes before all answers.
``GET /results``, ``POST /results``, ``POST /results/<table>.tsv`` (secret as field `secret` of a form, or as Bearer token)
    For the experimenter.

Refusals are {"error": one line, "code", "state"}, the code only where the page's catalogue has a sentence for it, the state only
with 409: 400 no JSON, 401 no such token, 403 not open or not signed, 404 nothing is there, 409 does not go with what is there
(resume from `state`), 410 the list was given to somebody else, 413 too large, 415 wrong type, 422 not as described, 429 far too
many; with these, sending the same again does not help. After 503, after 429 with ``Retry-After``, and where no answer came, send
the same again, later and later.
"""

import hmac
import logging
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from audiometamer.errors import AudioMetamerError
from audiometamer.listening import folder as layout
from audiometamer.listening.deciding import TrialDecider
from audiometamer.listening.export import ReceivedAnswers, read_answers
from audiometamer.listening.folder import Experiment
from audiometamer.listening.identity import MAX_IDENTITY_LENGTH
from audiometamer.listening.messages import AnswerMessage, Message
from audiometamer.listening.rate import RateLimit
from audiometamer.listening.repeats import RepeatFilter, log_settings
from audiometamer.listening.requests import SecurityHeaders, TokenBucket, bearer, read_form_body, read_json_body
from audiometamer.listening.results import TABLES, results_page
from audiometamer.listening.session import MTURK, PageState, page_state, session_of
from audiometamer.listening.signed import TOKEN_PARAMETER, SignedLinks, UnsignedError
from audiometamer.listening.store import (
    FREE_AFTER,
    CompleteError,
    ConflictError,
    ExcessError,
    LeftError,
    ListenerProgress,
    Participant,
    RefusedError,
    Store,
    UnavailableError,
    UnknownListenerError,
    UnnamedError,
)

Service = Literal["prolific", "mturk", "anyone"]
Short = Annotated[str, Meta(max_length=MAX_IDENTITY_LENGTH)]
Told = Annotated[str, Meta(max_length=8192)]  # a signature is long
_PARTICIPANT = {"prolific": "PROLIFIC_PID", "mturk": "workerId"}
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"  # in the place of an assignment while somebody only looks
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2",
}  # fmt: skip
_MOST_REQUESTS_AT_ONCE, _MOST_REQUESTS_A_SECOND = 10_000, 100  # of a listener; a page sends three for each trial
_TRIAL = re.compile("[0-9]{1,9}")
_SECONDS_BETWEEN = 10.0  # two checkpoints of the database: a copy of its first file lacks no more
_log = logging.getLogger(__name__)


class ClosedError(RefusedError):
    """The experiment is closed to those without a link."""

    code = "closed"


class PreviewError(RefusedError):
    """Somebody only previews a task."""

    code = "preview"


class BusyError(RefusedError):
    """Too many come at once; after so many seconds it may be asked again."""

    code = "busy"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many come at once; ask again in {seconds} s")
        self.seconds = seconds


_STATUS: dict[type[AudioMetamerError], int] = {
    RefusedError: 422, UnknownListenerError: 401, UnnamedError: 403, CompleteError: 409, ConflictError: 409, ExcessError: 429,
    UnavailableError: 503, ClosedError: 403, PreviewError: 403, UnsignedError: 403, BusyError: 429, LeftError: 410,
}  # fmt: skip


class Enrolment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who comes without a token."""

    service: Service
    parameters: Annotated[dict[Short, Told], Meta(max_length=16)] = {}

    def __post_init__(self) -> None:
        if any(len(value) > MAX_IDENTITY_LENGTH for name, value in self.parameters.items() if name != TOKEN_PARAMETER):
            raise ValueError(f"a parameter may have {MAX_IDENTITY_LENGTH} letters")


class Confirmation(msgspec.Struct, frozen=True):
    """A message is on disk."""

    kept: str
    state: PageState
    feedback: dict[str, bool | str] | None


def create_app(
    experiment: Experiment,
    store: Store,
    *,
    open_to: Service | None = None,
    rate: RateLimit | None = None,
    signed: SignedLinks | None = None,
    ending: Callable[[], bool] = lambda: False,
    now_and_then: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """The application.

    Parameters
    ----------
    experiment : Experiment
    store : Store
    open_to : {"prolific", "mturk", "anyone"}, optional
        Whom to give a token who comes without. Default: nobody.
    rate : RateLimit, optional
        Limit on newcomers. Default: that of `RateLimit`.
    signed : SignedLinks, optional
        Verifier of Prolific's links. Default: links need not be signed.
    ending : function, optional
        Whether the server is stopping, so that nothing more is begun. Default: it never does.
    now_and_then : function, optional
        Called every few seconds.

    Returns
    -------
    ASGI application
    """
    served = _Server(experiment, store, open_to, rate or RateLimit(), signed, ending, now_and_then)
    app = Starlette(
        routes=[
            Route("/", served.index),
            Route("/page/{file:path}", served.page),
            Route("/pictures/{file}", served.picture),
            Route("/sounds/{name}.wav", served.sound),
            Route("/images/{name}.png", served.image),
            Route("/api/enrol", served.enrol, methods=["POST"]),
            Route("/api/session", served.session),
            Route("/api/trials/{trial}", served.trial),
            Route("/api/messages", served.message, methods=["POST"]),
            Route("/results", served.ask_for_secret, methods=["GET"]),
            Route("/results", served.results, methods=["POST"]),
            Route("/results/{table}", served.table, methods=["POST"]),
        ],
        exception_handlers={AudioMetamerError: _refusal, HTTPException: _http_error},
        lifespan=served.running,
    )
    app.router.redirect_slashes = False  # to an address that would leave a proxy's path, and its HTTPS
    return SecurityHeaders(app, partner=MTURK if open_to == "mturk" else "")


class _Server:
    """What the routes do."""

    def __init__(
        self,
        experiment: Experiment,
        store: Store,
        open_to: Service | None,
        rate: RateLimit,
        signed: SignedLinks | None,
        ending: Callable[[], bool],
        now_and_then: Callable[[], None],
    ) -> None:
        self.experiment, self.store, self.open_to, self.rate, self.signed = experiment, store, open_to, rate, signed
        self.now_and_then = now_and_then
        self.allowance = TokenBucket(_MOST_REQUESTS_AT_ONCE, _MOST_REQUESTS_A_SECOND)
        self.deciding = None if experiment.adaptive is None else TrialDecider(store, experiment.adaptive, ending)
        self.secret = experiment.secret
        # Whatever is asked for is looked up here: no path is ever made from an address.
        self.pages = _files(experiment.folder / layout.PAGE)
        self.pictures = _files(experiment.folder / layout.PICTURES)
        if lacking := [path for path in experiment.sounds.values() if not path.is_file()]:
            raise AudioMetamerError(f"{lacking[0]} does not exist; build the experiment again")
        self.decode_message = msgspec.json.Decoder(Message).decode
        self.decode_enrolment = msgspec.json.Decoder(Enrolment).decode

    @asynccontextmanager
    async def running(self, _app: Starlette) -> AsyncIterator[None]:
        """What is done while requests are taken."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_house)
            yield
            tasks.cancel_scope.cancel()

    async def _keep_house(self) -> None:
        while True:
            await anyio.sleep(_SECONDS_BETWEEN)
            self.now_and_then()
            try:
                await run_in_threadpool(self.store.checkpoint)
            except UnavailableError as error:
                _log.error("%s", error)

    async def index(self, _request: Request) -> Response:
        return _file(self.pages, "index.html")

    async def page(self, request: Request) -> Response:
        return _file(self.pages, request.path_params["file"])

    async def picture(self, request: Request) -> Response:
        return _file(self.pictures, request.path_params["file"])

    async def sound(self, request: Request) -> Response:
        return await self._stimulus(request, "audio/wav", there=self.experiment.design.image_settings is None)

    async def image(self, request: Request) -> Response:
        return await self._stimulus(request, "image/png", there=self.experiment.design.image_settings is not None)

    async def _stimulus(self, request: Request, kind: str, *, there: bool) -> Response:
        """What the listener's own trials play or show: of others, not even that it is there is told."""
        state = await self._state(request)
        found = await run_in_threadpool(self._own_stimulus, state, request.path_params["name"]) if there else None
        if found is None:
            raise HTTPException(404, "there is no such stimulus")
        # Kept by the browser: who reloads the page late in a long experiment does not load everything again. For this listener
        # alone: an experiment that is built again, louder for instance, gives other sounds under the same names.
        headers = {"Cache-Control": "private, max-age=86400", "Vary": "Authorization"}
        if isinstance(found, bytes):
            return Response(found, headers=headers, media_type=kind)
        return _sent(found, media_type=kind, headers=headers)

    def _own_stimulus(self, state: ListenerProgress, name: str) -> Path | bytes | None:
        if name in (layout.CALIBRATION_NOISE, *(trial.stimulus for trial in self.experiment.trials(state.number))):
            return self.experiment.sounds.get(name)
        course = self.experiment.adaptive
        decided = None if course is None else self.store.decided_stimulus(state.listener, name)
        return None if course is None or decided is None else course.stimulus(decided)

    async def enrol(self, request: Request) -> Response:
        asked = await read_json_body(request, self.decode_enrolment)
        if asked.service != self.open_to:
            raise ClosedError(f"the experiment is not open to {asked.service}")
        person = _person(asked)
        if self.signed is not None and person.service == "prolific":
            proven = await run_in_threadpool(self.signed.proven, asked.parameters)
            person = Participant("prolific", proven["PROLIFIC_PID"], proven)
        if seconds := self.rate.wait(request.client.host if request.client else ""):
            raise BusyError(seconds)
        token = await run_in_threadpool(self.store.enrol, person=person)
        return _json({"token": token})

    async def session(self, request: Request) -> Response:
        state = await self._state(request)
        person = await run_in_threadpool(self.store.person, state.listener)
        return _json(session_of(self.experiment, state, person))

    async def trial(self, request: Request) -> Response:
        """A trial that is decided on the way."""
        if self.deciding is None:
            raise HTTPException(404, "all trials were drawn beforehand")
        state, waiting = await self._state(request), "waiting" in request.query_params
        number = request.path_params["trial"]
        if not _TRIAL.fullmatch(number):
            raise HTTPException(404, "there is no such trial")
        try:
            return _json(await self.deciding.upcoming(state, int(number), waiting=waiting, left=request.is_disconnected))
        except ConflictError as error:
            return await self._conflict(state.listener, error)

    async def message(self, request: Request) -> Response:
        """Keep a message; whatever is returned with status 200 is on disk."""
        listener = await self._listener(request)
        message = await read_json_body(request, self.decode_message)
        try:
            state = await run_in_threadpool(self.store.keep, listener, message)
        except ConflictError as error:
            return await self._conflict(listener, error)
        feedback = await run_in_threadpool(self._feedback, state, message)
        return _json(Confirmation(message.key, page_state(state), feedback))

    async def _conflict(self, listener: int, error: ConflictError) -> Response:
        """What is wrong, and how far the listener really is."""
        return _error(409, str(error), state=page_state(await run_in_threadpool(self.store.state, listener)))

    def _feedback(self, state: ListenerProgress, message: Message) -> dict[str, bool | str] | None:
        """What was right, after a practice trial."""
        if not isinstance(message, AnswerMessage):
            return None
        kind, right = self._asked(state, message)
        correct = self.experiment.design.answers.same(message.answer, right)
        return {"correct": correct, "answer": right} if kind == "practice" else None

    def _asked(self, state: ListenerProgress, answer: AnswerMessage) -> tuple[str, str]:
        """Kind and right answer of the trial that was answered."""
        trials = self.experiment.trials(state.number)
        if answer.trial <= len(trials):
            return trials[answer.trial - 1].kind, self.experiment.key[answer.stimulus].answer
        decided = self.store.decided(state.listener, answer.trial)
        assert decided is not None
        return decided.trial.kind, decided.answer

    async def _state(self, request: Request) -> ListenerProgress:
        return await run_in_threadpool(self.store.state, await self._listener(request))

    async def _listener(self, request: Request) -> int:
        """Whose token a request brings."""
        token = bearer(request)
        if token is None:
            raise UnknownListenerError("a token is needed")
        listener = await run_in_threadpool(self.store.listener, token)
        if not self.allowance.take(listener):
            raise ExcessError(f"more than {_MOST_REQUESTS_A_SECOND} requests a second")
        return listener

    async def ask_for_secret(self, _request: Request) -> Response:
        return HTMLResponse(results_page(self.experiment.design.title, None))

    async def results(self, request: Request) -> Response:
        title = self.experiment.design.title
        if not await self._has_secret(request):
            return HTMLResponse(results_page(title, None, refused=True), 403)
        answers = await run_in_threadpool(self._answers)
        return HTMLResponse(await run_in_threadpool(results_page, title, answers))

    async def table(self, request: Request) -> Response:
        table = request.path_params["table"]
        if not await self._has_secret(request):
            return HTMLResponse(results_page(self.experiment.design.title, None, refused=True, root="../"), 403)
        if table not in TABLES:
            raise HTTPException(404, f"there is no such table; there are {', '.join(TABLES)}")
        answers = await run_in_threadpool(self._answers)
        text = await run_in_threadpool(answers.text, table)
        headers = {"Content-Disposition": f'attachment; filename="{table}"'}
        return Response(text, media_type="text/tab-separated-values; charset=utf-8", headers=headers)

    def _answers(self) -> ReceivedAnswers:
        """Of the database that answers are kept in: not of another that lies in its place."""
        self.store.check_in_place()
        return read_answers(self.store.path, self.experiment)

    async def _has_secret(self, request: Request) -> bool:
        """Whether a request brings the secret, in a header or a form; compared in constant time."""
        given = bearer(request)
        if given is None:
            given = (await read_form_body(request)).get("secret", "")
        return hmac.compare_digest(given.strip().encode(), self.secret.encode())


def _person(asked: Enrolment) -> Participant:
    """Who a service says that it is."""
    if asked.service == "anyone":
        return Participant("anyone", secrets.token_hex(16), {})
    if asked.parameters.get("assignmentId") == _PREVIEW:
        raise PreviewError("this is a preview; it begins when the task is accepted")
    return Participant(asked.service, asked.parameters.get(_PARTICIPANT[asked.service], ""), asked.parameters)


def _files(folder: Path) -> dict[str, Path]:
    """The manifest of a folder: names, with forward slashes, and the files; links are not followed out of it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _file(manifest: Mapping[str, Path], name: str) -> Response:
    path = manifest.get(name)
    if path is None:
        raise HTTPException(404, "there is no such file")
    return _sent(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"))


def _sent(path: Path, *, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    if not path.is_file():
        raise AudioMetamerError(f"{path} was there when this was started, and is not any more")
    return FileResponse(path, media_type=media_type, headers=headers)


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def _error(
    status: int, message: str, *, code: str = "", state: PageState | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    content: dict[str, Any] = {"error": message}
    if code:
        content["code"] = code
    if state is not None:
        content["state"] = state
    return _json(content, status, headers)


async def _refusal(_request: Request, error: Exception) -> Response:
    """What the store or a file says, where it is something that a page should know; the rest goes to the log."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if status in (500, 503):
        _log.error("%s", error)
    if status == 500:
        return _error(500, "the server cannot do this now; the experimenter finds the reason in its log", code="failed")
    headers = {503: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    if isinstance(error, BusyError):
        headers = {"Retry-After": str(error.seconds)}
    message = "the answers cannot be reached now" if status == 503 else str(error)
    return _error(status, message, code=getattr(error, "code", ""), headers=headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, headers=error.headers)


def serve(
    experiment: Experiment,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open_to: Service | None = None,
    free_after: float = FREE_AFTER,
    rate: RateLimit | None = None,
    signed: SignedLinks | None = None,
    database: Path | None = None,
    proxies: Sequence[str] = (),
    started: Callable[[str], None] = lambda _address: None,
) -> None:
    """Run an experiment until it is interrupted.

    Parameters
    ----------
    experiment : Experiment
    host : str
        Default 127.0.0.1: this machine alone.
    port : int
        0: any that is free. Default 8000.
    open_to : {"prolific", "mturk", "anyone"}, optional
    free_after : float
        Minutes, see `Store`. Default `FREE_AFTER`.
    rate, signed : optional
        See `create_app`.
    database : path, optional
        Default: ``answers.db`` in the experiment's folder.
    proxies : sequence of str
        Addresses or networks of proxies whose ``X-Forwarded-For`` is trusted. Default: none.
    started : function of str, optional
        Called with the address once requests are taken.

    Raises
    ------
    AudioMetamerError
        If the database cannot be used, or the address is taken.
    """
    import uvicorn

    from audiometamer.listening.connections import AT_ONCE, Connection, PatientServer, most_connections

    repeats = RepeatFilter()
    with closing(Store(database or experiment.folder / layout.DATABASE, experiment, free_after=free_after)) as store:
        app = create_app(
            experiment, store, open_to=open_to, rate=rate, signed=signed, ending=lambda: server.should_exit,
            now_and_then=repeats.flush,
        )  # fmt: skip
        most = most_connections()
        config = uvicorn.Config(
            app, http=Connection, ws="none", log_config=log_settings(repeats), access_log=False, server_header=False,
            proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies), limit_concurrency=AT_ONCE * most,
            backlog=1 + most // 8, timeout_keep_alive=30, timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = PatientServer(config, ended=store.close)
        with _listen(host, port) as listening:
            address = address_at(host, listening.getsockname()[1])
            store.address = address
            started(address)
            server.run(sockets=[listening])


def address_at(host: str, port: int) -> str:
    """As browsers take it: an address of IPv6 stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Its protocol is named: asyncio turns Nagle's algorithm off for no other, and every confirmation would take 40 ms more.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise AudioMetamerError(f"cannot serve at {host} port {port}: {_reason(error)}") from error
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # to start again at once at the same address
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise AudioMetamerError(f"cannot serve at {host} port {port}: {_reason(error)}") from error
    return listening


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
