import torch

torch.set_num_threads(1)  # the models here are tiny: a second thread only gets in the way
