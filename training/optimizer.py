"""Adam on fp32 master weights, their schedule and their moving average."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.config import TrainingConfig


def learning_rate(config: TrainingConfig, update: int, scale: float = 1.0) -> float:
    """The rate of update number `update`, from 0.

    Linear warm-up, then by `config.schedule`: `linear` is constant until it falls linearly to zero over the
    last `decay` of the updates; `plateau` is constant times `scale`, which validation halves.
    """
    if config.schedule == "plateau":
        return config.learning_rate * scale * min(1.0, (update + 1) / max(1, config.warmup))
    fall = max(1.0, config.decay * config.max_updates)
    left = max(0.0, config.max_updates - update)
    return config.learning_rate * min(1.0, (update + 1) / max(1, config.warmup), left / fall)


class MasterAdam:
    """Adam (Kingma & Ba 2015) whose weights are fp32 whatever the model computes in.

    In fp32 the masters are the model's own parameters; in bf16 they are copies that small updates
    can still move, and the model gets them rounded after every step.

    Attributes:
        names: Of the parameters.
        norms: Gradient norm of every parameter before clipping, at the last step, shape (P,).
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.own = any(p.dtype != torch.float32 for p in self.parameters)
        self.masters: list[Tensor] = (
            [p.detach().float().clone() for p in self.parameters] if self.own else self.parameters
        )
        self.averages = [m.detach().clone() for m in self.masters] if config.average else []
        self.norms = torch.zeros(len(self.parameters))
        self.config = config
        self.adam = torch.optim.Adam(self.masters, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True)

    @torch.no_grad()
    def step(self, update: int, scale: float = 1.0) -> float:
        """Clip, step, round into the model, average.

        Args:
            update: Number of this update, from 0; sets the learning rate.
            scale: Of the learning rate, where validation decides it.

        Returns:
            The global gradient norm before clipping. When it is not finite, nothing was changed.
        """
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        if self.own:
            gradients = [g.float() for g in gradients]
        self.norms = torch.stack(torch._foreach_norm(gradients))
        norm = float(self.norms.norm())
        if not math.isfinite(norm):
            self.forget()
            return norm
        torch._foreach_mul_(gradients, min(1.0, self.config.clip_norm / (norm + 1e-6)))
        for master, gradient in zip(self.masters, gradients, strict=True):
            master.grad = gradient
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.config, update, scale)
        self.adam.step()
        if self.own:
            torch._foreach_copy_(self.parameters, self.masters)
        if self.averages:
            # young averages forget faster, so that the start does not weigh on them
            decay = min(self.config.average, (1 + update) / (10 + update))
            torch._foreach_lerp_(self.averages, self.masters, 1 - decay)
        self.forget()
        return norm

    def forget(self) -> float:
        """Drop the gradients: no step; returns NaN, the norm of none."""
        for parameter in self.parameters:
            parameter.grad = None
        return math.nan

    def evaluated(self) -> dict[str, Tensor]:
        """The weights to validate and export, fp32, by parameter name: the average if there is one."""
        return dict(zip(self.names, self.averages or [m.detach() for m in self.masters], strict=True))

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, by name."""
        state: dict[str, Tensor] = {}
        moments = self.adam.state
        for index, (name, master) in enumerate(zip(self.names, self.masters, strict=True)):
            state[f"master.{name}"] = master.detach()
            if self.averages:
                state[f"average.{name}"] = self.averages[index]
            for key, value in moments[master].items():
                state[f"adam.{key}.{name}"] = value
        return state

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for index, (name, master) in enumerate(zip(self.names, self.masters, strict=True)):
            master.copy_(state[f"master.{name}"])
            self.parameters[index].copy_(master)
            if self.averages:
                self.averages[index].copy_(state[f"average.{name}"])
            self.adam.state[master] = {
                key: state[f"adam.{key}.{name}"].to(master.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in state
            }
