"""Other implementations of the optimizers, set to the forms that ours have.

Where pytorch-optimizer has something that cannot be set, a subclass takes just that away.
"""

from functools import partial

import pytorch_optimizer
import torch

import adam_tutorial as ours


class NAdam(torch.optim.NAdam):
    """Keeps the product of the μ in float64; torch has it in the default type, float32."""

    def step(self, closure=None):
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(usual)


class AdaBound(pytorch_optimizer.AdaBound):
    """Adds nothing to v under the root; pytorch-optimizer adds 1e-15."""

    @staticmethod
    def apply_ams_bound_foreach(*args):
        return pytorch_optimizer.AdaBound.apply_ams_bound_foreach(*args, exp_avg_sq_eps=0.0)


class Yogi(pytorch_optimizer.Yogi):
    """Starts m at 0; pytorch-optimizer starts it at the value for v."""

    def __init__(self, params, initial_accumulator_value=1e-6, **settings):
        names = ("initial_accumulator", "initial_accumulator_value")
        super().__init__(params, **dict.fromkeys(names, initial_accumulator_value), **settings)

    def init_group(self, group, **kwargs):
        new = [p for p in group["params"] if p.grad is not None and not self.state[p]]
        super().init_group(group, **kwargs)
        for p in new:
            self.state[p]["exp_avg"].zero_()


OF = {
    ours.SGD: torch.optim.SGD,
    ours.Adagrad: torch.optim.Adagrad,
    ours.RMSprop: torch.optim.RMSprop,
    ours.Adam: torch.optim.Adam,
    ours.AMSGrad: partial(torch.optim.Adam, amsgrad=True),
    ours.AdamW: torch.optim.AdamW,
    ours.Adamax: torch.optim.Adamax,
    ours.NAdam: NAdam,
    ours.RAdam: torch.optim.RAdam,
    ours.AdaBound: partial(AdaBound, weight_decouple=False),
    ours.AMSBound: partial(AdaBound, weight_decouple=False, ams_bound=True),
    ours.AdaBelief: pytorch_optimizer.AdaBelief,  # rectify=False is its default
    ours.Yogi: partial(Yogi, weight_decouple=False),
    ours.Lion: pytorch_optimizer.Lion,
    ours.Adan: pytorch_optimizer.Adan,
    # It counts the step that only sets v.
    ours.ADOPT: partial(pytorch_optimizer.ADOPT, clip_lambda=lambda t: (t - 1) ** 0.25),
}
"""From each of our optimizers to what makes another implementation of it."""


def twin(optimizer, params, algorithm=None):
    """Return the other implementation with the same hyperparameters.

    It is that of the optimizer's own algorithm, also for a mutant, or of another one.
    """
    algorithm = algorithm or next(kind for kind in type(optimizer).__mro__ if kind in OF)
    return OF[algorithm](params, **vars(optimizer))
