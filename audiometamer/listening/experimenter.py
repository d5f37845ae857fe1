"""The experimenter's part of the server: results and tables, for whoever has the experiment's secret."""

import hmac

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from audiometamer.listening.folder import Experiment
from audiometamer.listening.reading import read_answers
from audiometamer.listening.received import ReceivedAnswers
from audiometamer.listening.requests import bearer, read_form_body
from audiometamer.listening.results import TABLES, results_page
from audiometamer.listening.store import Store


class ExperimenterRoutes:
    """Handlers of ``/results``.

    Parameters
    ----------
    experiment : Experiment
    store : Store
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment, self.store = experiment, store
        self.title, self.secret = experiment.design.title, experiment.secret

    @property
    def routes(self) -> list[Route]:
        """Routes of the application."""
        return [
            Route("/results", self.ask_for_secret, methods=["GET"]),
            Route("/results", self.results, methods=["POST"]),
            Route("/results/{table}", self.table, methods=["POST"]),
        ]

    async def ask_for_secret(self, _request: Request) -> Response:
        return HTMLResponse(results_page(self.title, None))

    async def results(self, request: Request) -> Response:
        if not await self._has_secret(request):
            return HTMLResponse(results_page(self.title, None, refused=True), 403)
        answers = await run_in_threadpool(self._answers)
        return HTMLResponse(await run_in_threadpool(results_page, self.title, answers))

    async def table(self, request: Request) -> Response:
        table = request.path_params["table"]
        if not await self._has_secret(request):
            return HTMLResponse(results_page(self.title, None, refused=True, root="../"), 403)
        if table not in TABLES:
            raise HTTPException(404, f"there is no such table; there are {', '.join(TABLES)}")
        answers = await run_in_threadpool(self._answers)
        text = await run_in_threadpool(answers.text, table)
        headers = {"Content-Disposition": f'attachment; filename="{table}"'}
        return Response(text, media_type="text/tab-separated-values; charset=utf-8", headers=headers)

    def _answers(self) -> ReceivedAnswers:
        """The answers of the open database, not of another that has taken its place."""
        self.store.database.check_in_place()
        return read_answers(self.store.path, self.experiment)

    async def _has_secret(self, request: Request) -> bool:
        """Whether a request brings the secret, in a header or a form; compared in constant time."""
        secret = bearer(request)
        if secret is None:
            secret = (await read_form_body(request)).get("secret", "")
        return hmac.compare_digest(secret.strip().encode(), self.secret.encode())
