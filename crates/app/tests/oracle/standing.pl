# Sockets of many kinds that stand still, for the place `sockets`; with the word `passing`, those that do not.
# Each is held by this process. What is in them was sent on loopback.
use strict;
use warnings;
use Socket qw(:DEFAULT :addrinfo IPPROTO_TCP IPPROTO_IPV6 IPV6_V6ONLY pack_sockaddr_in6 inet_pton);
use constant { IPPROTO_IP => 0, MARK => 36, DEVICE => 25, AF_PACKET => 17, AF_NETLINK => 16 };

my @held;
sub at { my ($address, $port) = @_; $address =~ /:/ ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) : pack_sockaddr_in($port, inet_aton($address)) }
sub made { my ($family, $kind, $protocol) = @_; socket(my $s, $family, $kind, $protocol // 0) or die "socket: $!"; push @held, $s; $s }
sub family { $_[0] =~ /:/ ? AF_INET6 : AF_INET }
sub listener {
    my ($address, $port, $backlog, $prepare) = @_;
    my $s = made(family($address), SOCK_STREAM);
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    $prepare->($s) if $prepare;
    bind($s, at($address, $port)) or die "bind $address $port: $!";
    listen($s, $backlog);
    $s
}
sub pair {
    my ($listener, $address, $port) = @_;
    my $near = made(family($address), SOCK_STREAM);
    connect($near, at($address, $port)) or die "connect $address $port: $!";
    accept(my $far, $listener) or die "accept: $!";
    push @held, $far;
    ($near, $far)
}
sub ready { $| = 1; print "stands\n"; sleep 1 while 1 }

if (@ARGV && $ARGV[0] eq "passing") {
    my $web = listener("127.0.0.1", 8080, 9);
    my ($near, $far) = pair($web, "127.0.0.1", 8080);
    close $near;
    close $far;
    @held = ($web);
    # Nobody has the address: the SYN is sent again and again.
    use Fcntl;
    my $lost = made(AF_INET, SOCK_STREAM);
    fcntl($lost, F_SETFL, O_NONBLOCK);
    connect($lost, at("10.9.9.9", 80));
    ready();
}

my $web = listener("127.0.0.1", 8080, 128);
listener("0.0.0.0", 22, 128);
my $dual = listener("::", 8443, 64, sub { setsockopt($_[0], IPPROTO_IPV6, IPV6_V6ONLY, 0) });
listener("::1", 9000, 5, sub { setsockopt($_[0], IPPROTO_IPV6, IPV6_V6ONLY, 1) });
listener("::", 9001, 5, sub { setsockopt($_[0], IPPROTO_IPV6, IPV6_V6ONLY, 1) });
listener("127.0.0.1", 6001, 1, sub { setsockopt($_[0], SOL_SOCKET, MARK, 5) });
listener("127.0.0.1", 6002, 1, sub { setsockopt($_[0], SOL_SOCKET, DEVICE, "lo") });
listener("127.0.0.1", 6003, 1, sub { setsockopt($_[0], IPPROTO_IP, IP_TOS, 0x28) });
# Three connections that nobody accepts: two fit.
my $full = listener("127.0.0.1", 6004, 1);
connect(made(AF_INET, SOCK_STREAM), at("127.0.0.1", 6004)) for 1 .. 2;

my ($near, $far) = pair($web, "127.0.0.1", 8080);
send($near, "x" x 100, 0);
pair($dual, "::1", 8443);
pair($dual, "127.0.0.1", 8443);
($near, $far) = pair($web, "127.0.0.1", 8080);
setsockopt($near, SOL_SOCKET, SO_KEEPALIVE, 1);
setsockopt($near, IPPROTO_IP, IP_TOS, 0x10);
send($far, "y" x 3000, 0);
# The other end has closed its half.
($near, $far) = pair($web, "127.0.0.1", 8080);
shutdown($far, 1);
{
    local $> = 65534;
    my $other = listener("127.0.0.1", 7777, 7);
    pair($other, "127.0.0.1", 7777);
    my $s = made(AF_UNIX, SOCK_STREAM);
    bind($s, pack_sockaddr_un("\0nobodys"));
    listen($s, 2);
}

for my $of (["127.0.0.1", 5353], ["::", 5354], ["0.0.0.0", 53]) {
    my $s = made(family($of->[0]), SOCK_DGRAM);
    bind($s, at(@$of)) or die "bind UDP $of->[1]: $!";
}
my $talks = made(AF_INET, SOCK_DGRAM);
connect($talks, at("127.0.0.1", 5353));
send($talks, "hello", 0);
made(AF_INET, SOCK_RAW, $_) for 1, 200;
made(AF_INET6, SOCK_RAW, 58);

made(AF_PACKET, SOCK_RAW, unpack("n", pack("S", $_))) for 3, 0x0806, 0x88cc, 0x1234;
my $packets = made(AF_PACKET, SOCK_DGRAM, unpack("n", pack("S", 0x0800)));
bind($packets, pack("S n i x12", AF_PACKET, 0x0800, 1));

my $oracle = made(AF_UNIX, SOCK_STREAM);
bind($oracle, pack_sockaddr_un("\0oracle"));
listen($oracle, 5);
for my $accepted (1, 0) {
    connect(made(AF_UNIX, SOCK_STREAM), pack_sockaddr_un("\0oracle"));
    if ($accepted) { accept(my $one, $oracle); push @held, $one }
}
my $sequence = made(AF_UNIX, SOCK_SEQPACKET);
bind($sequence, pack_sockaddr_un("\0seq"));
listen($sequence, 3);
my $path = made(AF_UNIX, SOCK_DGRAM);
bind($path, pack_sockaddr_un("/mnt/ss-oracle.sock")) or die "bind UNIX: $!";
socketpair(my $one, my $two, AF_UNIX, SOCK_STREAM, 0);
send($one, "xyz", 0);
shutdown($one, 1);
push @held, $one, $two;
ready();
