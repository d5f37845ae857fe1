"""Newcomers: listeners who arrive without a token, from a recruitment service or by an open link."""

import secrets
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from audiometamer.listening.enrolment import Participant
from audiometamer.listening.identity import MAX_IDENTITY_LENGTH
from audiometamer.listening.rate import RateLimit
from audiometamer.listening.refusals import BusyError, ClosedError, PreviewError
from audiometamer.listening.signed import TOKEN_PARAMETER, SignedLinks

Service = Literal["prolific", "mturk", "anyone"]
_ParameterName = Annotated[str, Meta(max_length=MAX_IDENTITY_LENGTH)]
_ParameterValue = Annotated[str, Meta(max_length=8192)]  # a signature is long
_IDENTIFIER = {"prolific": "PROLIFIC_PID", "mturk": "workerId"}
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"  # in place of an assignment while a worker previews the task


class EnrolmentRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The message of a newcomer's page: the service, and the parameters of the address."""

    service: Service
    parameters: Annotated[dict[_ParameterName, _ParameterValue], Meta(max_length=16)] = {}

    def __post_init__(self) -> None:
        if any(len(value) > MAX_IDENTITY_LENGTH for name, value in self.parameters.items() if name != TOKEN_PARAMETER):
            raise ValueError(f"a parameter may have {MAX_IDENTITY_LENGTH} letters")


class Admission:
    """Decides which newcomers may enrol, and who they are.

    Parameters
    ----------
    open_to : {"prolific", "mturk", "anyone"} or None
        The service whose participants need no link of their own.
    rate : RateLimit
    signed : SignedLinks or None
        Verifier of Prolific's links; None: they need not be signed.
    """

    def __init__(self, open_to: Service | None, rate: RateLimit, signed: SignedLinks | None) -> None:
        self.open_to, self.rate, self.signed = open_to, rate, signed

    def participant(self, request: EnrolmentRequest) -> Participant:
        """The newcomer who sent a request.

        Raises
        ------
        ClosedError, PreviewError, UnsignedError
        """
        if request.service != self.open_to:
            raise ClosedError(f"the experiment is not open to {request.service}")
        participant = _claimed(request)
        if self.signed is not None and participant.service == "prolific":
            proven = self.signed.proven(request.parameters)
            participant = Participant("prolific", proven["PROLIFIC_PID"], proven)
        return participant

    def count(self, address: str) -> None:
        """Count a newcomer from a network address; raises `BusyError` if there are too many. For one thread only."""
        if seconds := self.rate.wait(address):
            raise BusyError(seconds)


def _claimed(request: EnrolmentRequest) -> Participant:
    """The participant that the address names."""
    if request.service == "anyone":
        return Participant("anyone", secrets.token_hex(16), {})
    if request.parameters.get("assignmentId") == _PREVIEW:
        raise PreviewError("this is a preview; it begins when the task is accepted")
    return Participant(request.service, request.parameters.get(_IDENTIFIER[request.service], ""), request.parameters)
