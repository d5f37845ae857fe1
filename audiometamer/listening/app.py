"""The application: the page, its sounds or images, and answers that are confirmed only once they are on disk.

Requests of the page. JSON both ways; ``Authorization: Bearer <token>`` where a token is mentioned; a listener's link is
``/#<token>``, whose part after ``#`` browsers do not send. Nothing names a condition, or an answer before it is given.

``GET /``, ``GET /page/<file>``
    The page: the files in ``page/`` at the start of the server, and no others.
``POST /api/enrol`` {"service": "prolific" | "mturk" | "anyone", "parameters": {name: text}}
    Token for a listener who arrives without one: {"token"}. `parameters` are those of the address (``PROLIFIC_PID``;
    ``workerId`` and ``assignmentId``). Only for the service that the server is open to; a listener who returns resumes where
    they were. The number of newcomers per minute is limited; for others, 429 says in ``Retry-After`` how many seconds to wait.
    Where Prolific signs the study's links, ``prolific_token`` must be among the parameters and valid.
``GET /api/session`` (token)
    Everything that the page needs; see `audiometamer.listening.session`. Requested at the start and after every reload:
    ``state.next`` is the trial to continue with.
``GET /api/trials/<n>`` (token), ``GET /api/trials/<n>?waiting`` if the listener has nothing else to do meanwhile
    In adaptive experiments: {"trial", "progress", "rest"}, once the trial is decided. It is the one whose turn it is, or the
    one after it, to be ready in time; `trial` is null where that depends on the answer, see `audiometamer.listening.deciding`.
``GET /sounds/<stimulus>.wav`` (token)
    Sound of one of the listener's own trials, or ``calibrationnoise``, for setting the level.
``GET /images/<stimulus>.png`` (token)
    In experiments on images: those of one trial, one below the other.
``GET /pictures/<k>.png``
    Picture of the kth possible answer, from 1, where answers have pictures.
``POST /api/messages`` (token) an answer, a form or events; see `audiometamer.listening.messages`
    Confirmed with {"kept": key, "state", "feedback"} after it is committed to disk; `feedback` is {"correct", "answer"} after a
    practice trial and null otherwise. A message may be sent repeatedly. Form ``consent`` precedes all answers.
``GET /results``, ``POST /results``, ``POST /results/<table>.tsv`` (secret as field `secret` of a form, or as Bearer token)
    For the experimenter.

Refusals are {"error": one line, "code", "state"}, with a code only where the page's catalogue has a sentence for it, and a state
only with 409: 400 not JSON, 401 unknown token, 403 not open or not signed, 404 not found, 409 contradicts what is stored (resume
from `state`), 410 the list was reassigned, 413 too large, 415 wrong type, 422 not as described, 429 far too many; after these, a
retry does not help. After 503, after 429 with ``Retry-After``, and without a response, retry with growing pauses.
"""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from audiometamer.errors import AudioMetamerError
from audiometamer.listening import folder as layout
from audiometamer.listening.deciding import TrialDecider
from audiometamer.listening.experimenter import ExperimenterRoutes
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import AnswerMessage, Message
from audiometamer.listening.newcomers import Admission, EnrolmentRequest, Service
from audiometamer.listening.rate import RateLimit
from audiometamer.listening.refusals import ConflictError, ExcessError, UnavailableError, UnknownListenerError
from audiometamer.listening.requests import SecurityHeaders, TokenBucket, bearer, read_json_body
from audiometamer.listening.responses import (
    error_response,
    file_response,
    http_error,
    json_response,
    listed_file,
    manifest_of,
    refusal,
)
from audiometamer.listening.session import MTURK, PageState, page_state, session_of
from audiometamer.listening.signed import SignedLinks
from audiometamer.listening.state import ListenerState
from audiometamer.listening.store import Store

_MAX_BURST, _MAX_REQUESTS_PER_SECOND = 10_000, 100  # of a listener; a page sends three for each trial
_TRIAL = re.compile("[0-9]{1,9}")
_CHECKPOINT_SECONDS = 10.0  # between two checkpoints: a copy of the database's first file lacks no more
_log = logging.getLogger(__name__)


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
    on_checkpoint: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """The application.

    Parameters
    ----------
    experiment : Experiment
    store : Store
    open_to : {"prolific", "mturk", "anyone"}, optional
        Service whose participants get a token if they arrive without one. Default: none.
    rate : RateLimit, optional
        Limit on newcomers. Default: that of `RateLimit`.
    signed : SignedLinks, optional
        Verifier of Prolific's links. Default: links need not be signed.
    ending : function, optional
        Whether the server is stopping, so that nothing more is begun. Default: it never does.
    on_checkpoint : function, optional
        Called every few seconds.

    Returns
    -------
    ASGI application
    """
    admission = Admission(open_to, rate or RateLimit(), signed)
    served = _ListenerRoutes(experiment, store, admission, ending, on_checkpoint)
    app = Starlette(
        routes=[*served.routes, *ExperimenterRoutes(experiment, store).routes],
        exception_handlers={AudioMetamerError: refusal, HTTPException: http_error},
        lifespan=served.running,
    )
    app.router.redirect_slashes = False  # to an address that would leave a proxy's path, and its HTTPS
    return SecurityHeaders(app, partner=MTURK if open_to == "mturk" else "")


class _ListenerRoutes:
    """Handlers of what the page asks for."""

    def __init__(
        self,
        experiment: Experiment,
        store: Store,
        admission: Admission,
        ending: Callable[[], bool],
        on_checkpoint: Callable[[], None],
    ) -> None:
        self.experiment, self.store, self.admission, self.on_checkpoint = experiment, store, admission, on_checkpoint
        self.requests = TokenBucket(_MAX_BURST, _MAX_REQUESTS_PER_SECOND)
        self.decider = None if experiment.adaptive is None else TrialDecider(store, experiment.adaptive, ending)
        # Files are looked up here: no path is ever made from an address.
        self.pages = manifest_of(experiment.folder / layout.PAGE)
        self.pictures = manifest_of(experiment.folder / layout.PICTURES)
        if lacking := [path for path in experiment.sounds.values() if not path.is_file()]:
            raise AudioMetamerError(f"{lacking[0]} does not exist; build the experiment again")
        self.decode_message = msgspec.json.Decoder(Message).decode
        self.decode_enrolment = msgspec.json.Decoder(EnrolmentRequest).decode

    @property
    def routes(self) -> list[Route]:
        """Routes of the application."""
        return [
            Route("/", self.index),
            Route("/page/{file:path}", self.page),
            Route("/pictures/{file}", self.picture),
            Route("/sounds/{name}.wav", self.sound),
            Route("/images/{name}.png", self.image),
            Route("/api/enrol", self.enrol, methods=["POST"]),
            Route("/api/session", self.session),
            Route("/api/trials/{trial}", self.trial),
            Route("/api/messages", self.message, methods=["POST"]),
        ]

    @asynccontextmanager
    async def running(self, _app: Starlette) -> AsyncIterator[None]:
        """Write checkpoints while the application is running."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write_checkpoints)
            yield
            tasks.cancel_scope.cancel()

    async def _write_checkpoints(self) -> None:
        while True:
            await anyio.sleep(_CHECKPOINT_SECONDS)
            self.on_checkpoint()
            try:
                await run_in_threadpool(self.store.database.checkpoint)
            except UnavailableError as error:
                _log.error("%s", error)

    async def index(self, _request: Request) -> Response:
        return listed_file(self.pages, "index.html")

    async def page(self, request: Request) -> Response:
        return listed_file(self.pages, request.path_params["file"])

    async def picture(self, request: Request) -> Response:
        return listed_file(self.pictures, request.path_params["file"])

    async def sound(self, request: Request) -> Response:
        return await self._stimulus(request, "audio/wav", exists=self.experiment.design.image_settings is None)

    async def image(self, request: Request) -> Response:
        return await self._stimulus(request, "image/png", exists=self.experiment.design.image_settings is not None)

    async def _stimulus(self, request: Request, media_type: str, *, exists: bool) -> Response:
        """A stimulus of the listener's own trials; of others, not even their existence is revealed."""
        state = await self._state(request)
        found = await run_in_threadpool(self._own_stimulus, state, request.path_params["name"]) if exists else None
        if found is None:
            raise HTTPException(404, "there is no such stimulus")
        # Cached by the browser: a page that is reloaded late in a long experiment does not load everything again. For this
        # listener only: an experiment that is built again, louder for instance, has other sounds under the same names.
        headers = {"Cache-Control": "private, max-age=86400", "Vary": "Authorization"}
        if isinstance(found, bytes):
            return Response(found, headers=headers, media_type=media_type)
        return file_response(found, media_type=media_type, headers=headers)

    def _own_stimulus(self, state: ListenerState, name: str) -> Path | bytes | None:
        if name in (layout.CALIBRATION_NOISE, *(trial.stimulus for trial in self.experiment.trials(state.number))):
            return self.experiment.sounds.get(name)
        adaptive = self.experiment.adaptive
        decided = None if adaptive is None else self.store.decided_stimulus(state.listener, name)
        return None if adaptive is None or decided is None else adaptive.stimulus(decided)

    async def enrol(self, request: Request) -> Response:
        newcomer = await read_json_body(request, self.decode_enrolment)
        participant = await run_in_threadpool(self.admission.participant, newcomer)
        self.admission.count(request.client.host if request.client else "")
        token = await run_in_threadpool(self.store.enrol, participant=participant)
        return json_response({"token": token})

    async def session(self, request: Request) -> Response:
        state = await self._state(request)
        participant = await run_in_threadpool(self.store.participant, state.listener)
        return json_response(session_of(self.experiment, state, participant))

    async def trial(self, request: Request) -> Response:
        """An adaptive trial."""
        if self.decider is None:
            raise HTTPException(404, "all trials were drawn beforehand")
        state, waiting = await self._state(request), "waiting" in request.query_params
        number = request.path_params["trial"]
        if not _TRIAL.fullmatch(number):
            raise HTTPException(404, "there is no such trial")
        try:
            upcoming = await self.decider.upcoming(state, int(number), waiting=waiting, left=request.is_disconnected)
            return json_response(upcoming)
        except ConflictError as error:
            return await self._conflict(state.listener, error)

    async def message(self, request: Request) -> Response:
        """Store a message; whatever is returned with status 200 is on disk."""
        listener = await self._listener(request)
        message = await read_json_body(request, self.decode_message)
        try:
            state = await run_in_threadpool(self.store.keep, listener, message)
        except ConflictError as error:
            return await self._conflict(listener, error)
        feedback = await run_in_threadpool(self._feedback, state, message)
        return json_response(Confirmation(message.key, page_state(state), feedback))

    async def _conflict(self, listener: int, error: ConflictError) -> Response:
        """The error, and the listener's actual state."""
        return error_response(409, str(error), state=page_state(await run_in_threadpool(self.store.state, listener)))

    def _feedback(self, state: ListenerState, message: Message) -> dict[str, bool | str] | None:
        """The right answer, after a practice trial."""
        if not isinstance(message, AnswerMessage):
            return None
        kind, right = self._kind_and_answer(state, message)
        correct = self.experiment.design.answers.same(message.answer, right)
        return {"correct": correct, "answer": right} if kind == "practice" else None

    def _kind_and_answer(self, state: ListenerState, answer: AnswerMessage) -> tuple[str, str]:
        """Kind and right answer of the trial that was answered."""
        trials = self.experiment.trials(state.number)
        if answer.trial <= len(trials):
            return trials[answer.trial - 1].kind, self.experiment.key[answer.stimulus].answer
        decided = self.store.decided(state.listener, answer.trial)
        assert decided is not None
        return decided.trial.kind, decided.answer

    async def _state(self, request: Request) -> ListenerState:
        return await run_in_threadpool(self.store.state, await self._listener(request))

    async def _listener(self, request: Request) -> int:
        """The listener whose token a request carries."""
        token = bearer(request)
        if token is None:
            raise UnknownListenerError("a token is needed")
        listener = await run_in_threadpool(self.store.listener, token)
        if not self.requests.take(listener):
            raise ExcessError(f"more than {_MAX_REQUESTS_PER_SECOND} requests a second")
        return listener
