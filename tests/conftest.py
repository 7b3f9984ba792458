import os

import torch
from hypothesis import settings

# CI tries the same examples every time; a developer's machine goes on looking for new ones
settings.register_profile("default", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("default")

torch.set_num_threads(1)  # the models here are tiny: a second thread only gets in the way
