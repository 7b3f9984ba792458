import os

import pytest
import torch
from hypothesis import settings

# CI tries the same examples every time; a developer's machine goes on looking for new ones
settings.register_profile("default", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("default")

torch.set_num_threads(1)  # the models here are tiny: a second thread only gets in the way


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)
