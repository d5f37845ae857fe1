"""The one family of errors that audiometamer raises on purpose."""


class AudioMetamerError(Exception):
    """Something the caller can mend; the message says what, with the value, and what would be right."""


class WritingError(AudioMetamerError):
    """The operating system refuses to write a file: no space, no permission. It concerns the whole work, not one part of it."""


class AudioMetamerWarning(UserWarning):
    """Something the caller should know, although the work goes on (a clip was padded, stereo mixed down)."""
