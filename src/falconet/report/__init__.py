"""One self-contained report.html for a run folder, and the record of results it is written from."""

from falconet.report.results import Results, read_results, write_results

__all__ = ["Results", "read_results", "write_results"]
