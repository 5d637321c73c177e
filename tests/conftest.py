"""Settings of all tests."""

from hypothesis import settings

# no deadline: the machine may be busy; derandomised: a run that was green stays green until the code changes
settings.register_profile("archcost", deadline=None, derandomize=True)
settings.load_profile("archcost")
