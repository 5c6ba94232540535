"""The shared words: definitions, records, ids, time, errors, settings. Imports nothing of the project."""

from contracts.kernel_cache import use_kernel_cache

use_kernel_cache()
