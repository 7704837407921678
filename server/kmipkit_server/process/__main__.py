"""``python -m kmipkit_server.process NUMBER CHANNEL LIFELINE``: a worker, as the supervisor starts it.

It is a module of its own, so that the worker's own processes for computations do not load the server.
"""

import sys

if __name__ == "__main__":
    from kmipkit_server.engine.lifeline import follow

    follow(int(sys.argv[3]))  # before the imports, which take long
    from kmipkit_server.process.worker import main

    main(int(sys.argv[1]), int(sys.argv[2]))
