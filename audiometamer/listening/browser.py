"""Simulated listeners who use the real page, in Chromium."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.client import ConfirmedMessage
from audiometamer.listening.responders import Responder

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Request, Response

_SCRIPT = "window.simulatedListener = {seconds: %r, pace: %r, answer: (stimulus, answers) => window.reply(stimulus, answers)};"
_ARGUMENTS = (
    "--autoplay-policy=no-user-gesture-required",  # no user gesture starts the sounds
    "--mute-audio", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
)  # fmt: skip


def take_part_in_browser(
    addresses: Sequence[str],
    reply: Responder,
    *,
    program: str,
    seed: int,
    pace: float = 0.0,
    seconds: float = 0.1,
    callbacks: Sequence[Callable[[ConfirmedMessage], None]],
) -> list[str]:
    """Take part in an experiment through its page, all listeners concurrently, each in a browser window of their own.

    The page plays its sounds, and its own plugins type and click, as in jsPsych's visual simulation mode.

    Parameters
    ----------
    addresses : sequence of str
        Links, one for each listener.
    reply : Responder
        How the listeners answer.
    program : str
        Name or path of Chromium.
    seed : int
        Random seed of the answers.
    pace : float
        Pause before each answer, in reaction times. Default 0.
    seconds : float
        How much of every sound is played. Default 0.1.
    callbacks : sequence of function of ConfirmedMessage
        For each listener, a function that is called for every confirmed message.

    Returns
    -------
    list of str
        ``finished`` or ``stopped``, for each listener.

    Raises
    ------
    AudioMetamerError
        If the browser cannot be started, or a page fails.
    """
    script = _SCRIPT % (seconds, pace)
    return asyncio.run(_take_part(addresses, reply, program, seed, script, callbacks))


async def _take_part(
    addresses: Sequence[str],
    reply: Responder,
    program: str,
    seed: int,
    script: str,
    callbacks: Sequence[Callable[[ConfirmedMessage], None]],
) -> list[str]:
    try:
        from playwright.async_api import Error, async_playwright
    except ModuleNotFoundError as error:
        raise AudioMetamerError("rehearsing in a browser needs playwright: pip install playwright") from error
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # Chromium has no sandbox for root
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=shutil.which(program) or program, args=arguments)
        except Error as error:
            raise AudioMetamerError(f"{program} does not start: {str(error).splitlines()[0]}") from error
        try:
            listeners = zip(addresses, callbacks, strict=True)
            listening = (_listen(browser, one, reply, seed + k, script, callback) for k, (one, callback) in enumerate(listeners))
            return await asyncio.gather(*listening)
        finally:
            await browser.close()


async def _listen(
    browser: "Browser", address: str, reply: Responder, seed: int, script: str, on_confirmed: Callable[[ConfirmedMessage], None]
) -> str:
    """One listener, from opening the link to the last screen."""
    generator = np.random.default_rng(seed)
    context = await browser.new_context()
    page = await context.new_page()
    watched = _Watched(on_confirmed)
    page.on("request", watched.request)
    page.on("response", watched.response)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))

    def answer(stimulus: str, answers: Sequence[str]) -> dict[str, Any]:
        chosen, milliseconds, *confidence = reply(stimulus, answers, generator)
        return {"answer": chosen, "reaction_time_ms": milliseconds, "confidence": next(iter(confidence), None)}

    await page.expose_function("reply", answer)
    await page.add_init_script(script)
    await page.goto(address)
    over = await _end(page, watched)
    await context.close()
    return over


async def _end(page: "Page", watched: "_Watched") -> str:
    """Wait for the last screen; how the experiment ended."""
    while not await page.locator("#saved").count():
        if watched.errors:
            raise AudioMetamerError(f"the page failed: {watched.errors[0]}")
        await asyncio.sleep(0.1)
    return watched.over or "finished"


class _Watched:
    """The messages of a page on the network, and how long each took to be confirmed."""

    def __init__(self, on_confirmed: Callable[[ConfirmedMessage], None]) -> None:
        self.on_confirmed = on_confirmed
        self.first: dict[str, tuple[float, int]] = {}
        self.errors: list[str] = []
        self.over: str | None = None

    def request(self, request: "Request") -> None:
        if message := _message(request):
            began, attempts = self.first.get(message["key"], (time.perf_counter(), 0))
            self.first[message["key"]] = began, attempts + 1

    async def response(self, response: "Response") -> None:
        if (message := _message(response.request)) and response.status == 200:
            confirmation = await response.json()
            began, attempts = self.first[message["key"]]
            self.over = confirmation["state"]["over"]
            self.on_confirmed(ConfirmedMessage(message, time.perf_counter() - began, attempts))


def _message(request: "Request") -> dict[str, Any] | None:
    """The message that a request carries, if any."""
    return json.loads(request.post_data or "null") if request.url.endswith("/api/messages") else None
