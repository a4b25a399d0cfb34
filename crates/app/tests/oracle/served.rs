//! The place `served`: loopback, a folder to be served at `/mnt/www`, and a client for WebSocket from Debian's Python.

pub const SERVED: &str = r##"
set -e
ip link set lo up
mount -t tmpfs none /mnt
mkdir -p /mnt/www/sub /mnt/www/empty
cd /mnt/www
echo '<h1>hi</h1>' >index.html
seq 1 20 >a.txt
for e in json css js png jpeg gif svg pdf htm c mp3 md; do echo $e >f.$e; done
echo x >noext
echo sub >sub/index.html
cp a.txt g.txt
gzip -nk g.txt
touch -d '2024-01-02 03:04:05 UTC' * sub/*
echo 'custom 404' >err.html
printf 'H:/mnt/www\nI:a.txt\nE404:/mnt/www/err.html\n/sub:bob:secret # a guard\n.md:text/markdown\nA:127.0.0.1\nA:10.0.0.0/8\nD:*\n' >/mnt/conf
echo 'D:*' >/mnt/nobody
echo 'garbage line' >/mnt/wrong
echo "hosts: files dns" >/mnt/nsswitch
echo "nameserver 127.0.0.1" >/mnt/resolv
echo "127.0.0.1 localhost
::1 localhost" >/mnt/hosts
mount --bind /mnt/nsswitch /etc/nsswitch.conf
mount --bind /mnt/hosts /etc/hosts
mount --bind /mnt/resolv /etc/resolv.conf
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /mnt/tls.key -out /mnt/tls.crt -days 30 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
cat /mnt/tls.key /mnt/tls.crt >/mnt/tls.pem
mkdir /mnt/ssl
cd /mnt/ssl
sign() { # NAME DAYS: what is in NAME.ext, by the authority
  openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $2 -extfile $1.ext -out $1.crt 2>/dev/null
}
ec() { # NAME SUBJECT [CURVE]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:${3:-prime256v1} -nodes -keyout $1.key -out $1.csr -utf8 -subj "$2" 2>/dev/null
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj '/C=DE/O=Test Org/CN=Test CA' 2>/dev/null
ec s /CN=localhost
printf 'subjectAltName=DNS:localhost,DNS:*.svc.cluster.local,IP:127.0.0.1,IP:::1
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth
basicConstraints=critical,CA:FALSE
authorityKeyIdentifier=keyid
subjectKeyIdentifier=hash
' >s.ext
sign s 30
cp s.csr old.csr; cp s.key old.key; cp s.ext old.ext
openssl x509 -req -in old.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 0 -extfile old.ext -out old.crt 2>/dev/null
ec many '/C=DE/ST=Bayern/L=München/O=A, B + C "quoted"/OU=one/OU=two/CN= x /emailAddress=me@example.test'
printf 'subjectAltName=DNS:a.test,email:you@example.test,URI:spiffe://x/ns/default,RID:1.2.3.4,dirName:dir,otherName:1.2.3;UTF8:x
issuerAltName=issuer:copy
basicConstraints=CA:TRUE,pathlen:3
keyUsage=cRLSign,keyCertSign
extendedKeyUsage=codeSigning,1.2.3.4,OCSPSigning
authorityKeyIdentifier=keyid:always,issuer:always
crlDistributionPoints=URI:http://a.test/1.crl,URI:http://a.test/2.crl
authorityInfoAccess=OCSP;URI:http://ocsp.test,caIssuers;URI:http://a.test/ca.crt
certificatePolicies=1.2.3.4,@pol
nameConstraints=permitted;DNS:.a.test,permitted;IP:10.0.0.0/255.0.0.0,excluded;email:b.test
tlsfeature=status_request
nsComment=a comment
1.2.3.4.5=ASN1:UTF8String:unknown
[dir]
C=DE
CN=dir name
[pol]
policyIdentifier=2.23.140.1.2.1
CPS.1=http://a.test/cps
userNotice.1=@notice
[notice]
explicitText=UTF8:notice text
' >many.ext
sed -i '/issuerAltName/d' many.ext
sign many 400
ec p384 /CN=p384 secp384r1
echo 'subjectAltName=IP:fd00:1::2' >p384.ext
openssl req -x509 -key p384.key -out p384.crt -days 30 -subj /CN=p384 -sha384 -set_serial 7 -addext subjectAltName=IP:fd00:1::2 2>/dev/null
openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.crt -days 36500 -subj /CN=ed -set_serial -300 2>/dev/null
cp s.csr sct.csr
log=4e75a3275c9a10c3385b6cd4df3f52eb1df0e08e1b8d69c0b1fa64b1629a39df
echo "1.3.6.1.4.1.11129.2.4.2=DER:043b0039003700${log}0000018cc251f4fb0000040300083006020101020102" >sct.ext
sign sct 30
cd /mnt/www
cat >/mnt/ws.py <<'P'
import asyncio, ssl, sys, websockets
async def serve(ws, path=None):
    path = ws.path
    if path == "/headers":
        for name in ["X-One", "Origin", "Authorization"]:
            await ws.send(f"{name}: {ws.request_headers.get(name)}")
        await ws.send(f"protocol: {ws.subprotocol}")
    if path == "/both":
        await ws.send(b"\0\xff")
    if path == "/tick":
        for i in range(3):
            await ws.send(str(i))
        return
    if path == "/close":
        await ws.close(4000, "enough")
        return
    async for message in ws:
        await ws.send(message)
async def main():
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/mnt/ssl/s.crt", "/mnt/ssl/s.key")
    async with websockets.serve(serve, "127.0.0.1", 5001, ssl=context, subprotocols=["chat"], max_size=None):
        await asyncio.Future()
import logging
logging.disable(logging.CRITICAL)
asyncio.run(main())
P
cat >/mnt/lies.py <<'P'
import base64, hashlib, socket, sys, time
how = sys.argv[1]
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 5001))
s.listen()
c, _ = s.accept()
asked = b""
while b"\r\n\r\n" not in asked:
    asked += c.recv(4096)
key = [l.split(b": ")[1] for l in asked.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key")][0]
proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
good = head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
try:
    if how == "silent": time.sleep(5)
    elif how == "proof": c.sendall(head + b"Sec-WebSocket-Accept: AAAA\r\n\r\n")
    elif how == "noproof": c.sendall(head + b"\r\n")
    elif how == "head":
        while True: c.sendall(b"X: " + b"y" * 4000 + b"\r\n")
    elif how == "huge": c.sendall(good + b"\x82\x7f\x7f" + b"\xff" * 7 + b"x" * 1000)
    elif how == "masked": c.sendall(good + b"\x81\x81aaaab")
    elif how == "cut": c.sendall(good + b"\x81\x05hel")
    elif how == "reserved": c.sendall(good + b"\xf1\x01x")
    if how not in ("cut", "silent", "head"): c.recv(1000); time.sleep(0.3)
except OSError:
    pass
c.close()
P
cat >/mnt/shop.proto <<'P'
syntax = "proto3";
package demo.v1;
enum Color { RED = 0; BLUE = 1; }
message Item {
  string name = 1;
  int64 big = 2;
  repeated int32 nums = 3;
  map<string, string> tags = 4;
  Color color = 5;
  oneof pick { string a = 6; bool b = 7; }
  Item inner = 8;
  bytes raw = 9;
  double d = 10;
  optional string maybe = 11;
}
service Shop {
  rpc Get(Item) returns (Item);
  rpc Many(Item) returns (stream Item);
  rpc Sum(stream Item) returns (Item);
  rpc Chat(stream Item) returns (stream Item);
  rpc Fail(Item) returns (Item);
}
P
mkdir -p /mnt/deep
cat >/mnt/deep/order.proto <<'P'
syntax = "proto3";
package orders.v1;
import "shop.proto";
import "google/protobuf/timestamp.proto";
message Order {
  repeated demo.v1.Item items = 1;
  google.protobuf.Timestamp placed = 2;
}
P
printf 'syntax = "proto3";\nimport "nowhere.proto";\n' >/mnt/deep/lonely.proto
printf 'syntax = "proto3";\nmessage Item { string name = ; }\n' >/mnt/broken.proto
(cd /mnt && protoc --descriptor_set_out=shop.pb --include_imports --python_out=. shop.proto) || true
cat >/mnt/gs.py <<'P'
import sys, time
sys.path.insert(0, "/mnt")
import grpc
from concurrent import futures
from shop_pb2 import Item
def get(request, context):
    if request.name == "slow":
        time.sleep(3)
    return request
def many(request, context):
    for n in request.nums:
        yield Item(name=request.name, big=n)
def total(requests, context):
    return Item(name="".join(r.name for r in requests))
def chat(requests, context):
    for r in requests:
        yield r
def fail(request, context):
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no, 100 % wrong: é")
how = dict(request_deserializer=Item.FromString, response_serializer=Item.SerializeToString)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.v1.Shop", {
    "Get": grpc.unary_unary_rpc_method_handler(get, **how),
    "Many": grpc.unary_stream_rpc_method_handler(many, **how),
    "Sum": grpc.stream_unary_rpc_method_handler(total, **how),
    "Chat": grpc.stream_stream_rpc_method_handler(chat, **how),
    "Fail": grpc.unary_unary_rpc_method_handler(fail, **how),
}),))
server.add_insecure_port("127.0.0.1:5001")
server.start()
server.wait_for_termination()
P
cat >/mnt/gc.py <<'P'
import grpc
channel = grpc.insecure_channel("127.0.0.1:5001")
raw = dict(request_serializer=lambda b: b, response_deserializer=lambda b: b)
check = channel.unary_unary("/grpc.health.v1.Health/Check", **raw)
print(check(b""))
for name in [b"netshoot.v1.Echo", b"nobody"]:
    try:
        print(check(b"\x0a" + bytes([len(name)]) + name))
    except grpc.RpcError as e:
        print(e.code(), e.details())
print(next(iter(channel.unary_stream("/grpc.health.v1.Health/Watch", **raw)(b""))))
chat = channel.stream_stream("/netshoot.v1.Echo/Chat", **raw)
print([m[:5] for m in chat(iter([b"\x0a\x03one", b"\x0a\x03two"]))])
big = b"\x12" + b"\xe0\xa7\x12" + b"x" * 300000
print(len(channel.unary_unary("/netshoot.v1.Echo/Say", **raw)(big)) > 300000)
try:
    channel.unary_unary("/no.Such/Method", **raw)(b"")
except grpc.RpcError as e:
    print(e.code(), e.details())
P
cat >/mnt/talk.py <<'P'
import asyncio, ssl, sys, websockets
async def talk(uri):
    context = None
    if uri.startswith("wss"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with websockets.connect(uri, ssl=context, subprotocols=["chat", "other"]) as ws:
        print(ws.subprotocol)
        await ws.send("hello")
        print(await ws.recv())
        await ws.send(bytes(range(256)) * 300)
        print(len(await ws.recv()))
        await ws.send(["in ", "pieces"])
        print(await ws.recv())
        await (await ws.ping())
        print("pong")
    print(ws.close_code)
asyncio.run(talk(sys.argv[1]))
P
echo ready
exec cat
"##;
