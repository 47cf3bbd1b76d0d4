"""The exceptions that lrbench raises on purpose: each is one sentence a user can act on."""


class LrbenchError(Exception):
    """Base of every error that a user can mend; the command line prints it as one line and exits with 2."""


class StudyError(LrbenchError):
    """A study, an override or a name in it is wrong."""


class ProblemError(LrbenchError):
    """A problem's functions do not fit together (shapes, types, what they return)."""


class DataError(LrbenchError):
    """Data are missing, empty, or not of the kind a problem needs."""


class LaunchError(LrbenchError):
    """A launcher or a device that was asked for cannot be used."""


class StoreError(LrbenchError):
    """A results folder cannot be read or written."""
