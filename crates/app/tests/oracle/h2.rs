//! The place `h2`: who speaks HTTP/2 on loopback. nghttp2's own server (8081 plain, 8444 over TLS) serves `/mnt/www`; what is
//! answered on 8082 (plain, with the upgrade) and 8445 (TLS), rightly or wrongly, `h2.py` beside this file tells; `lies.py`
//! lies over HTTP/1.1 and TLS.

/// Makes the place.
pub fn script() -> String {
    SCRIPT.replace("HERE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle"))
}

const SCRIPT: &str = r##"
set -e
# Gone with the place.
beside() { exec setpriv --pdeathsig KILL "$@"; }
ip link set lo up
mount -t tmpfs none /mnt
mkdir /mnt/www
cd /mnt/www
echo hello >hello
head -c 1500000 /dev/urandom >large
for i in $(seq 60); do head -c 3000 large >small-$i; done
echo "127.0.0.1 localhost" >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /mnt/tls.key -out /mnt/tls.crt -days 30 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
beside nghttpd -d /mnt/www --no-tls --echo-upload 8081 >/dev/null 2>&1 &
beside nghttpd -d /mnt/www 8444 /mnt/tls.key /mnt/tls.crt >/dev/null 2>&1 &
beside /usr/bin/python3 HERE/h2.py 8082 2>/mnt/log &
beside /usr/bin/python3 HERE/h2.py 8445 /mnt/tls.crt /mnt/tls.key 2>/mnt/log.tls &
beside /usr/bin/python3 HERE/lies.py /mnt/tls.crt /mnt/tls.key 2>/mnt/log.lies &
tries=0
for port in 8081 8444 8082 8445 8091; do
  until ss -Hltn "sport = :$port" | grep -q .; do
    tries=$((tries + 1))
    [ $tries -lt 2000 ] || { cat /mnt/log* >&2; exit 1; }
  done
done
echo ready
exec cat
"##;
