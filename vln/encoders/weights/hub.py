"""The hub from which open_clip and timm fetch weights and vocabularies.

Knows no library of networks.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OFFLINE: Final = (OSError, RuntimeError, ValueError)
"""What the libraries' downloads raise: their own errors are children of these."""
TIMEOUT_S: Final = 5.0


@contextmanager
def hub() -> Iterator[None]:
    """Has the libraries ask the hub, or only their caches where it cannot be reached.

    Left alone they would ask again and again, for the better part of a minute.

    Raises:
        ConnectionError: It cannot be reached, and what is asked for is in no cache.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or _answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    except OFFLINE as error:
        raise ConnectionError(f"{constants.ENDPOINT} cannot be reached") from error
    finally:
        constants.HF_HUB_OFFLINE = False


def said(error: Exception) -> str:
    """Gives the first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0][:160].rstrip(".") if lines else type(error).__name__


def _answers(url: str) -> bool:
    """Tells whether there is a server, whatever it says."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, http.client.HTTPException):
        return False
