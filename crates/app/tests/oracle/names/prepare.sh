# In the place's namespaces: zones signed with new keys, addresses, a link whose far end is silent, resolv.conf.
set -e
cd "$DIR"
sed 's/signed/bogus/' signed.zone >bogus.zone
sign() { # ZONE FILE MORE FLAGS ALGORITHM
  # shellcheck disable=SC2086 # an algorithm and its flags
  zone=$(dnssec-keygen -q -a ${5:-ECDSAP256SHA256} -n ZONE "$1" 2>/dev/null)
  # shellcheck disable=SC2086
  entry=$(dnssec-keygen -q -a ${5:-ECDSAP256SHA256} -f KSK -n ZONE "$1" 2>/dev/null)
  cat "$2" $3 "$zone.key" "$entry.key" >"$2.in"
  # shellcheck disable=SC2086 # a list of flags
  dnssec-signzone $4 -q -o "$1" -f "$2.signed" -S -K . "$2.in" >/dev/null 2>&1
  cat "$entry.key" >"$2.anchor"
}
sign signed.test signed.zone
cp "$zone.key" zone.key
sign bogus.test bogus.zone
sed -i 's/192.0.2.21/192.0.2.66/' bogus.zone.signed
# Zones that differ in how they are signed; what is wrong with the last three, their names say.
other() { # LABEL FLAGS ALGORITHM
  sed "s/signed/$1/" signed.zone >"$1.zone"
  sign "$1.test" "$1.zone" "" "$2" "$3"
}
other rsa "" "RSASHA256 -b 2048"
other sha512 "" "RSASHA512 -b 1024"
other sha1 "" "NSEC3RSASHA1 -b 1024"
other p384 "" ECDSAP384SHA384
other ed "" ED25519
other hashed "-3 cafe -H 5"
other expired "-P -s 20240101000000 -e 20240201000000"
other nokey ""
other naked ""
cp naked.zone naked.zone.signed
sed 's/ [0-9A-F]\{8\}$/ 00000000/' dsset-nokey.test. >wrong && mv wrong dsset-nokey.test.
cat dsset-*.test. >delegated
for zone in rsa sha512 sha1 p384 ed hashed expired nokey naked; do
  echo "$zone NS ns1.shop" >>tld.zone
  echo "zone \"$zone.test\" { type primary; file \"$zone.zone.signed\"; };" >>others.conf
done
# Certificates for DNS over TLS and HTTPS: one that an own authority signed, and that authority's.
{
  ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
  # shellcheck disable=SC2086 # a list of flags
  openssl req -x509 $ec -keyout ca.key -out ca.pem -subj /CN=lab-authority
  # shellcheck disable=SC2086
  openssl req $ec -keyout dns.key -out dns.csr -subj /CN=dns.lab
  echo "subjectAltName=DNS:dns.lab,IP:127.0.0.4" >dns.ext
  openssl x509 -req -in dns.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile dns.ext -out dns.pem
} 2>/dev/null
sign test tld.zone delegated "-3 abcd -H 2"
sign . root.zone dsset-test.
grep DNSKEY root.zone.anchor >root.key
key=$(awk '/DNSKEY 257/ { for (i = 7; i <= NF; i++) printf "%s", $i }' root.key)
sed -i "s|@DIR@|$DIR|g; s|@KEY@|$key|" named.conf unbound.conf
echo "trust-anchors { . static-key 257 3 13 \"$key\"; };" >anchors
key=$(awk '/DNSKEY 257/ { for (i = 7; i <= NF; i++) printf "%s", $i }' rsa.zone.anchor)
echo "trust-anchors { rsa.test static-key 257 3 8 \"$key\"; };" >anchors.rsa
for i in 2 3 4 5 6 7; do ip addr add "127.0.0.$i/8" dev lo; done
ip link add d0 type veth peer name d1
ip addr add 198.51.100.1/24 dev d0
ip link set d0 up
ip link set d1 up
ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:99 dev d0
printf 'search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n' >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
