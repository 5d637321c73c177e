"""Settings of all tests."""

import signal

import torch
from hypothesis import settings

# no deadline: the machine may be busy; derandomised: a run that was green stays green until the code changes
settings.register_profile("archcost", deadline=None, derandomize=True)
settings.load_profile("archcost")

# one thread: on a busy machine two that wait for each other take several times as long
torch.set_num_threads(1)

# a shell lets what it starts in the background ignore Ctrl-C, and so would the processes to which tests send one
signal.signal(signal.SIGINT, signal.default_int_handler)
