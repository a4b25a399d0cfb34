#!/bin/sh
# The same investigation with ordinary tools. It changes nothing, but each in_pod adds an ephemeral container.
# "gallery gets connection errors from thumbnails"
# media/Pod/gallery-fbcd8bd4f-s2phc to media/Service/thumbnails:80 (TCP)
# netshoot 0.1.0, world, 2026-11-26T14:56:26.541Z
set -u
IMAGE=${IMAGE:-nicolaka/netshoot}

step() { printf '\n==== %s. %s\n' "$1" "$2"; }
in_pod() {
  namespace=$1 pod=$2
  shift 2
  kubectl debug -q -i -n "$namespace" "$pod" --image="$IMAGE" --profile=netadmin -- "$@"
}
on_node() {
  node=$1
  shift
  kubectl debug -q -i "node/$node" --image="$IMAGE" --profile=sysadmin -- "$@"
}

step 1 'Does the name resolve?'
# seen: thumbnails.media.svc.cluster.local resolves to 10.96.238.146
in_pod media gallery-fbcd8bd4f-s2phc nslookup thumbnails.media.svc.cluster.local.
in_pod media gallery-fbcd8bd4f-vd7z9 nslookup thumbnails.media.svc.cluster.local.

step 2 'Does the port answer?'
# seen: TCP connect to endpoint 10.244.1.4:8080 (pod thumbnails-77f9c4698f-xl4wq): answered
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.1.4 8080
# seen: TCP connect to endpoint 10.244.2.3:8080 (pod thumbnails-77f9c4698f-2nv4m): answered
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.2.3 8080
# seen: TCP connect to endpoint 10.244.3.3:8080 (pod thumbnails-77f9c4698f-q4wsm): answered
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.3.3 8080
# seen: TCP connect to 10.96.238.146:80: 5 of 5 answered
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.238.146 80; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.238.146 80; done'
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.1.4 8080
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.2.3 8080
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.3.3 8080

step 3 'Does a request work?'
# seen: HTTP request to 10.96.238.146:80: 3 of 3 answered
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
# seen: HTTP request to 10.96.238.146:80: 24 of 24 answered
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'

step 4 'Deeper: loss, size and what is on the wire'
# -Z 1: a SYN that is answered only after it was sent again counts as lost; by itself mtr waits 10 s and counts it as received, late
# -f 10: a packet with a smaller TTL ends at a node, whose rules give its ICMP error the address of the Service; mtr takes that for the Service and looks no further
in_pod media gallery-fbcd8bd4f-s2phc mtr --tcp --port 80 -Z 1 -f 10 --report -c 20 -n 10.96.238.146
# while this listens, send a request from another terminal; repeated sequence numbers are retransmissions
in_pod media gallery-fbcd8bd4f-s2phc timeout 10 tcpdump -ni any -c 200 'host 10.96.238.146 and port 80'

step 5 'What the API server says about the objects'
kubectl describe pod gallery-fbcd8bd4f-s2phc -n media
kubectl get pods -n media -o wide
kubectl get networkpolicies -n media
kubectl get events -n media --sort-by=.lastTimestamp
kubectl get endpointslices -n media -l kubernetes.io/service-name=thumbnails -o yaml
kubectl describe service thumbnails -n media
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

# Answer: media/Pod/gallery-fbcd8bd4f-s2phc to media/Service/thumbnails:80 (TCP) works: HTTP request to 10.96.238.146:80: 24 of 24 answered
