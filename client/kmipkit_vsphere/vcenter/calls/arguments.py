"""Arguments that commands of several subjects share."""

from kmipkit_vsphere.vcenter.command import Argument
from kmipkit_vsphere.vcenter.command_line import TEXT_FILE, Many

NAME = Argument("NAME", "name")
HOST = Argument("HOST", "host")
CERTIFICATE = Argument("CERTIFICATE", "certificate", TEXT_FILE)
KEY_PROVIDER = Argument("--provider", "keyProvider", help="Instead of the default one.")
FOLDER = Argument("--folder", "folder", help="Such as folder/finance.")
PART = Argument("--part", "parts", Many(str), help="home, disk, disk1…  [default: all]")
