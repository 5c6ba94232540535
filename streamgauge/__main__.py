"""``python -m streamgauge``: the command line."""

from streamgauge.command_line import main

main()
