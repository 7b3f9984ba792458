import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

CI = os.environ.get("CI", "").lower() == "true"

# CI tries the same examples every time; a developer's machine goes on looking for new ones
settings.register_profile("default", deadline=None, derandomize=CI)
settings.load_profile("default")

torch.set_num_threads(1)  # the models here are tiny: a second thread only gets in the way


@pytest.fixture(autouse=True, scope="session")
def _no_proxy_to_this_machine() -> Iterator[None]:
    """Whatever proxy the environment names, the servers of the tests are here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)
