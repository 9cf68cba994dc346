"""Output that may fail without stopping a command: a closed pipe or terminal, a full disk."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any


class ForgivingStream:
    """A text stream that is silent from its first write that fails on (`failure` says why), or from the start if None.

    All else is the stream's own.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write if possible; return the number of characters in any case."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        self._try(lambda stream: stream.flush())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[Any], object]) -> None:
        if self._stream is None or self.failure is not None or getattr(self._stream, "closed", False):
            return
        try:
            act(self._stream)
        except OSError as error:
            self.failure = error
            _discard(self._stream)


@contextmanager
def forgiving_streams(prog: str = "") -> Iterator[None]:
    """Standard output and error cannot fail within; one sentence in the name of `prog` says what is lost of the output.

    A reader that has left (`| head`) is told nothing.
    """
    _open_standard_descriptors()
    output, errors = ForgivingStream(sys.stdout), ForgivingStream(sys.stderr)
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            yield
        finally:
            output.flush()
            if prog and output.failure is not None and not isinstance(output.failure, BrokenPipeError):
                reason = output.failure.strerror
                print(f"{prog}: standard output cannot be written ({reason}); nothing else is affected.", file=errors)
            errors.flush()


def _open_standard_descriptors() -> None:
    """Let 0, 1 and 2 lead nowhere where they are closed, or a file that is opened later would get one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _discard(stream: Any) -> None:
    """Lead its descriptor nowhere: its buffer would fail again as the interpreter ends, with exit code 120."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
