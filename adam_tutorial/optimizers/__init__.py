"""Optimizers as pure functions: one file an algorithm, each reads like its paper.

>>> import numpy as np
>>> adam = Adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
>>> theta = np.array([1.0])
>>> state = adam.init(theta)
>>> step = adam.step(theta, np.array([0.5]), state)
>>> step.m, step.state.t
(array([0.05]), 1)
"""

from adam_tutorial.optimizers.adabelief import AdaBelief
from adam_tutorial.optimizers.adabound import AdaBound
from adam_tutorial.optimizers.adafactor import Adafactor
from adam_tutorial.optimizers.adagrad import Adagrad
from adam_tutorial.optimizers.adam import Adam
from adam_tutorial.optimizers.adam8bit import Adam8bit
from adam_tutorial.optimizers.adam_mini import AdamMini
from adam_tutorial.optimizers.adamax import Adamax
from adam_tutorial.optimizers.adamw import AdamW
from adam_tutorial.optimizers.adan import Adan
from adam_tutorial.optimizers.adopt import ADOPT
from adam_tutorial.optimizers.amsbound import AMSBound
from adam_tutorial.optimizers.amsgrad import AMSGrad
from adam_tutorial.optimizers.base import Optimizer
from adam_tutorial.optimizers.lamb import LAMB
from adam_tutorial.optimizers.lion import Lion
from adam_tutorial.optimizers.muon import Muon
from adam_tutorial.optimizers.nadam import NAdam
from adam_tutorial.optimizers.radam import RAdam
from adam_tutorial.optimizers.rmsprop import RMSprop
from adam_tutorial.optimizers.schedule_free import ScheduleFreeAdamW
from adam_tutorial.optimizers.sgd import SGD
from adam_tutorial.optimizers.soap import SOAP
from adam_tutorial.optimizers.yogi import Yogi

__all__ = [
    "ADOPT",
    "LAMB",
    "SGD",
    "SOAP",
    "AMSBound",
    "AMSGrad",
    "AdaBelief",
    "AdaBound",
    "Adafactor",
    "Adagrad",
    "Adam",
    "Adam8bit",
    "AdamMini",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
    "Yogi",
]
