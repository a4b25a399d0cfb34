#!/bin/sh
# The same investigation with ordinary tools. It changes nothing, but each in_pod adds an ephemeral container.
# "user-service calls to auth-service time out"
# production/Pod/user-service-65b6d4db96-9sg4m to production/Service/auth-service:8080 (TCP)
# netshoot 0.1.0, world, 2026-11-26T17:02:22.812Z
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
in_pod production user-service-65b6d4db96-w9fts nslookup auth-service.production.svc.cluster.local.
# seen: auth-service.production.svc.cluster.local resolves to 10.96.85.7
in_pod production user-service-65b6d4db96-9sg4m nslookup auth-service.production.svc.cluster.local.

step 2 'Does the port answer?'
in_pod production user-service-65b6d4db96-w9fts sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.85.7 8080; done'
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.1.3 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.1.4 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.2.3 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.3.2 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.3.3 8080
# seen: TCP connect to endpoint 10.244.1.3:8080 (pod auth-service-57f7b67bf6-b7pm7): answered
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.1.3 8080
# seen: TCP connect to endpoint 10.244.1.4:8080 (pod auth-service-57f7b67bf6-wl9gc): answered
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.1.4 8080
# seen: TCP connect to endpoint 10.244.2.3:8080 (pod auth-service-57f7b67bf6-k9p65): silent
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.2.3 8080
# seen: TCP connect to endpoint 10.244.3.2:8080 (pod auth-service-57f7b67bf6-2rx9t): answered
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.3.2 8080
# seen: TCP connect to 10.96.85.7:8080: of 5: 3 answered, 2 silent
in_pod production user-service-65b6d4db96-9sg4m sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.85.7 8080; done'
# seen: TCP connect to endpoint 10.244.3.3:8080 (pod auth-service-57f7b67bf6-pxk2b): answered
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.3.3 8080

step 3 'Does a request work?'
# seen: HTTP request to 10.96.85.7:8080: of 3: 2 answered, 1 silent (failed at: connect)
in_pod production user-service-65b6d4db96-9sg4m sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve auth-service.production.svc.cluster.local:8080:10.96.85.7 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://auth-service.production.svc.cluster.local:8080/health; done'
in_pod production user-service-65b6d4db96-w9fts sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve auth-service.production.svc.cluster.local:8080:10.96.85.7 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://auth-service.production.svc.cluster.local:8080/health; done'

step 4 'Deeper: loss, size and what is on the wire'
# -Z 1: a SYN that is answered only after it was sent again counts as lost; by itself mtr waits 10 s and counts it as received, late
# -f 10: a packet with a smaller TTL ends at a node, whose rules give its ICMP error the address of the Service; mtr takes that for the Service and looks no further
in_pod production user-service-65b6d4db96-9sg4m mtr --tcp --port 8080 -Z 1 -f 10 --report -c 20 -n 10.96.85.7
# while this listens, send a request from another terminal; repeated sequence numbers are retransmissions
in_pod production user-service-65b6d4db96-9sg4m timeout 10 tcpdump -ni any -c 200 'host 10.96.85.7 and port 8080'
# could not be asked: not in the recording
on_node node-b ping -c 40 -i 0.2 -W 1 10.90.0.11
# could not be asked: not in the recording
on_node node-b ping -c 40 -i 0.2 -W 1 10.90.0.13
# could not be asked: not in the recording
on_node node-c ping -c 40 -i 0.2 -W 1 10.90.0.11
# could not be asked: not in the recording
on_node node-c ping -c 40 -i 0.2 -W 1 10.90.0.12
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.1.3
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.1.4
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.2.3
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.3.2
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.1.3
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.1.4
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.2.3
# could not be asked: not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.3.2
# seen: capture at the client, 1500 ms: 3 TCP retransmissions in 3 of 87 connections, 14 handshakes without any answer
in_pod production user-service-65b6d4db96-w9fts timeout 2 tcpdump -ni any 'port 8080'
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.1.3
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.1.4
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.2.3
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.3.2
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.3.3
# seen: capture at the client, 1500 ms: 8 TCP retransmissions in 8 of 73 connections, 12 handshakes without any answer
in_pod production user-service-65b6d4db96-9sg4m timeout 2 tcpdump -ni any 'port 8080'
# seen: ICMP echo to 10.244.1.3: 3 of 3 answered
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.1.3
# seen: ICMP echo to 10.244.1.4: 3 of 3 answered
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.1.4
# seen: ICMP echo to 10.244.2.3: 3 of 3 answered
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.2.3
# seen: ICMP echo to 10.244.3.2: 3 of 3 answered
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.3.2
# seen: ICMP echo to 10.244.3.3: 3 of 3 answered
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.3.3

step 5 'What the API server says about the objects'
kubectl describe pod user-service-65b6d4db96-9sg4m -n production
kubectl get pods -n production -o wide
kubectl get networkpolicies -n production
kubectl get events -n production --sort-by=.lastTimestamp
kubectl get endpointslices -n production -l kubernetes.io/service-name=auth-service -o yaml
kubectl describe service auth-service -n production
kubectl describe deployment auth-service -n production
kubectl logs deployment/auth-service -n production --tail=50
kubectl logs deployment/auth-service -n production --tail=50 --previous
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

step 6 'Inside the pods and this host'
in_pod production auth-service-57f7b67bf6-2rx9t ss -tuanp
# seen: pod auth-service-57f7b67bf6-2rx9t: accept queue overflowed 26 times (TcpExt.ListenOverflows)
in_pod production auth-service-57f7b67bf6-2rx9t nstat -asz
in_pod production auth-service-57f7b67bf6-b7pm7 ss -tuanp
# seen: pod auth-service-57f7b67bf6-b7pm7: accept queue overflowed 30 times (TcpExt.ListenOverflows)
in_pod production auth-service-57f7b67bf6-b7pm7 nstat -asz
in_pod production auth-service-57f7b67bf6-pxk2b ss -tuanp
in_pod production auth-service-57f7b67bf6-pxk2b nstat -asz
in_pod production auth-service-57f7b67bf6-wl9gc ss -tuanp
in_pod production auth-service-57f7b67bf6-wl9gc nstat -asz
# seen: pod auth-service-57f7b67bf6-k9p65: accept queue overflowed 18 times (TcpExt.ListenOverflows)
in_pod production auth-service-57f7b67bf6-k9p65 nstat -asz
# seen: pod auth-service-57f7b67bf6-k9p65: 9 connections wait in an accept queue of 8
in_pod production auth-service-57f7b67bf6-k9p65 ss -tuanp
in_pod production user-service-65b6d4db96-9sg4m ip -d -s address show
in_pod production user-service-65b6d4db96-w9fts ip -d -s address show
in_pod production auth-service-57f7b67bf6-k9p65 ip -d -s address show

step 7 'On the nodes'
# could not be asked: not in the recording
on_node node-b conntrack -L
on_node node-b conntrack -S
# could not be asked: not in the recording
on_node node-b ip -4 route show table all
on_node node-b ip -6 route show table all
# could not be asked: not in the recording
on_node node-c conntrack -L
on_node node-c conntrack -S
# could not be asked: not in the recording
on_node node-c ip -4 route show table all
on_node node-c ip -6 route show table all
# seen: pod auth-service-57f7b67bf6-b7pm7: 63Mi to 64Mi of 64Mi within 198 ms, highest 64Mi, limit hit 80 times (cgroup v1)
# seen: pod auth-service-57f7b67bf6-b7pm7: 28Mi to 44Mi of 64Mi within 901 ms, highest 44Mi, limit hit 0 times (cgroup v1)
kubectl top pod auth-service-57f7b67bf6-b7pm7 -n production --containers
kubectl describe pod auth-service-57f7b67bf6-b7pm7 -n production
# seen: pod auth-service-57f7b67bf6-wl9gc: 34Mi to 56Mi of 64Mi within 1400 ms, highest 56Mi, limit hit 0 times (cgroup v1)
# seen: pod auth-service-57f7b67bf6-wl9gc: 58Mi to 60Mi of 64Mi within 900 ms, highest 60Mi, limit hit 0 times (cgroup v1)
kubectl top pod auth-service-57f7b67bf6-wl9gc -n production --containers
kubectl describe pod auth-service-57f7b67bf6-wl9gc -n production
# seen: pod auth-service-57f7b67bf6-k9p65: 60Mi to 15Mi of 64Mi within 1401 ms, highest 64Mi, limit hit 52 times (cgroup v1)
kubectl top pod auth-service-57f7b67bf6-k9p65 -n production --containers
kubectl describe pod auth-service-57f7b67bf6-k9p65 -n production
# seen: pod auth-service-57f7b67bf6-2rx9t: 22Mi to 49Mi of 64Mi within 1400 ms, highest 49Mi, limit hit 0 times (cgroup v1)
# seen: pod auth-service-57f7b67bf6-2rx9t: 51Mi to 60Mi of 64Mi within 901 ms, highest 60Mi, limit hit 0 times (cgroup v1)
kubectl top pod auth-service-57f7b67bf6-2rx9t -n production --containers
kubectl describe pod auth-service-57f7b67bf6-2rx9t -n production
# seen: pod auth-service-57f7b67bf6-pxk2b: 56Mi to 60Mi of 64Mi within 1400 ms, highest 60Mi, limit hit 0 times (cgroup v1)
# seen: pod auth-service-57f7b67bf6-pxk2b: 60Mi to 61Mi of 64Mi within 900 ms, highest 61Mi, limit hit 0 times (cgroup v1)
kubectl top pod auth-service-57f7b67bf6-pxk2b -n production --containers
kubectl describe pod auth-service-57f7b67bf6-pxk2b -n production
# seen: cni0 up, mtu 1500
on_node node-b ip -d -s address show
# seen: 10.96.85.7:8080 goes to 10.244.1.3:8080, 10.244.1.4:8080, 10.244.3.2:8080, 10.244.3.3:8080
on_node node-b nft list ruleset
on_node node-b iptables-save
on_node node-c ip -d -s address show
# seen: net.ipv4.ip_forward = 1 on node node-b
on_node node-b sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
on_node node-c nft list ruleset
on_node node-c iptables-save
on_node node-c sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding

# Cause: the memory limit 64Mi of production/Deployment/auth-service lies below what its pods need: they are OOMKilled in turn and stall before
#   -> memory limit 64Mi of container auth-service
#   -> 1 of 5 pods OOMKilled, the last one 1s ago
#   -> 4 of 5 living pods above 80 % of the limit
#   -> stalled pods stop accepting: accept queues overflowed 74 times, SYNs to them vanish
#   -> handshakes with auth-service-57f7b67bf6-k9p65 go unanswered
#   -> 1 of 3 tries through the Service fail
# Could not be checked: ICMP echo to 10.244.1.3, 40 times from pod production/user-service-65b6d4db96-9sg4m; ICMP echo to 10.244.1.3, 40 times from pod production/user-service-65b6d4db96-w9fts; ICMP echo to 10.244.1.4, 40 times from pod production/user-service-65b6d4db96-9sg4m; ICMP echo to 10.244.1.4, 40 times from pod production/user-service-65b6d4db96-w9fts; and 12 more: the answer is not in the recording
# Remedy, not run by this script: a limit of at least 119Mi, proposed 192Mi because the growth bends towards about 119Mi; half as much again, since processes stall long before their limit; the rollout replaces the pods one by one
#   kubectl set resources deployment/auth-service -n production -c auth-service --limits=memory=192Mi --requests=memory=96Mi
#   ? is 192Mi a sum the nodes and the budget can carry for each of the pods, or should the application's cache be bounded lower instead?
# Then: netshoot diagnose --from pod/user-service-65b6d4db96-9sg4m -n production --to svc/auth-service.production:8080
