"""``python -m bafenet``: the same as the console command ``bafenet``."""
from bafenet_command.command import main

if __name__ == '__main__':
    main()
