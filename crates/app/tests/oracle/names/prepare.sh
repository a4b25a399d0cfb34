# In the place's namespaces: zones signed with new keys, addresses, a link whose far end is silent, resolv.conf.
set -e
cd "$DIR"
sed 's/signed/bogus/' signed.zone >bogus.zone
sign() { # ZONE FILE MORE FLAGS
  zone=$(dnssec-keygen -q -a ECDSAP256SHA256 -n ZONE "$1")
  entry=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK -n ZONE "$1")
  cat "$2" $3 "$zone.key" "$entry.key" >"$2.in"
  # shellcheck disable=SC2086 # a list of flags
  dnssec-signzone $4 -q -o "$1" -f "$2.signed" -S -K . "$2.in" >/dev/null 2>&1
  cat "$entry.key" >"$2.anchor"
}
sign signed.test signed.zone
sign bogus.test bogus.zone
sed -i 's/192.0.2.21/192.0.2.66/' bogus.zone.signed
cat dsset-signed.test. dsset-bogus.test. >delegated
sign test tld.zone delegated "-3 abcd -H 2"
sign . root.zone dsset-test.
grep DNSKEY root.zone.anchor >root.key
key=$(awk '/DNSKEY 257/ { for (i = 7; i <= NF; i++) printf "%s", $i }' root.key)
sed -i "s|@DIR@|$DIR|; s|@DIR@|$DIR|; s|@KEY@|$key|" named.conf
for i in 2 3 4 5 6; do ip addr add "127.0.0.$i/8" dev lo; done
ip link add d0 type veth peer name d1
ip addr add 198.51.100.1/24 dev d0
ip link set d0 up
ip link set d1 up
ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:99 dev d0
printf 'search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n' >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
