# A router of MPLS, 10.9.8.1 and fd09:8::1, that tells the labels of a packet which ended at it (RFC 4884, RFC 4950), and
# the hosts behind it. One towards 10.9.8.9 and fd09:8::9 does not say where its labels begin, as old ones do not.
import fcntl, os, signal, struct, subprocess, sys

STACK = struct.pack("!II", 16012 << 12 | 3 << 9 | 1, 24015 << 12 | 1 << 8 | 2)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def icmp(kind, code, rest, ends=b""):
    head = bytes([kind, code])
    pseudo = ends and ends + struct.pack("!II", 4 + len(rest), 58)
    return head + checksum(pseudo + head + b"\0\0" + rest) + rest


def extension():
    stack = struct.pack("!HBB", 4 + len(STACK), 1, 1) + STACK
    return b"\x20\0" + checksum(b"\x20\0\0\0" + stack) + stack


def answer4(packet):
    source, to = packet[12:16], packet[16:20]
    if packet[8] == 1:
        length = 0 if to[3] == 9 else 32
        said = icmp(11, 0, bytes([0, length, 0, 0]) + packet[:128].ljust(128, b"\0") + extension())
        to = to[:3] + b"\x01"
    elif packet[9] == 1:
        said = icmp(0, 0, packet[24:])
    else:
        said = icmp(3, 3, bytes(4) + packet[:28])
    head = struct.pack("!BBHIBB", 0x45, 0, 20 + len(said), 0, 64, 1)
    return head + checksum(head + b"\0\0" + to + source) + to + source + said


def answer6(packet):
    source, to = packet[8:24], packet[24:40]
    own = to[:15] + b"\x01" if packet[7] == 1 else to
    ends = own + source
    if packet[7] == 1:
        length = 0 if to[15] == 9 else 16
        said = icmp(3, 0, bytes([length, 0, 0, 0]) + packet[:128].ljust(128, b"\0") + extension(), ends)
    elif packet[6] == 58 and packet[40] == 128:
        said = icmp(129, 0, packet[44:], ends)
    else:
        said = icmp(1, 4, bytes(4) + packet[:48], ends)
    return struct.pack("!IHBB", 6 << 28, len(said), 58, 64) + ends + said


try:
    tun = os.open("/dev/net/tun", os.O_RDWR)
except OSError as why:
    # Whatever else is in the place needs no such device.
    print(f"no router of MPLS: {why}", file=sys.stderr)
    print("stands", flush=True)
    signal.pause()
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"mpls", 0x1001))
for words in ["link set mpls up", "addr add 10.9.8.2/32 dev mpls", "route add 10.9.8.0/24 dev mpls",
              "-6 addr add fd09:8::2/128 dev mpls nodad", "-6 route add fd09:8::/64 dev mpls"]:
    subprocess.run(["ip", *words.split()], check=True)
print("stands", flush=True)
while packet := os.read(tun, 4096):
    if packet[0] >> 4 == 4:
        os.write(tun, answer4(packet))
    elif packet[24] == 0xFD:
        os.write(tun, answer6(packet))
