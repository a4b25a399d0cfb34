#!/bin/sh
# The same investigation with ordinary tools. It changes nothing, but each in_pod adds an ephemeral container.
# "dialer cannot connect to contacts"
# crm/Pod/dialer-79989b968d-5g5vq to crm/Service/contacts:8080 (TCP)
# netshoot 0.1.0, world, 2026-11-26T14:55:57.064Z
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
# seen: contacts.crm.svc.cluster.local resolves to 10.96.207.70
in_pod crm dialer-79989b968d-5g5vq nslookup contacts.crm.svc.cluster.local.
in_pod crm dialer-79989b968d-xg2nw nslookup contacts.crm.svc.cluster.local.

step 2 'Does the port answer?'
# seen: TCP connect to 10.96.207.70:8080: 5 of 5 refused
in_pod crm dialer-79989b968d-5g5vq sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.1.5 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.2.4 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.3.4 8080
in_pod crm dialer-79989b968d-xg2nw sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
# seen: TCP connect to endpoint 10.244.1.5:8080 (pod contacts-749dbc786d-6rlnb): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.1.5 8080
# seen: TCP connect to endpoint 10.244.2.4:8080 (pod contacts-749dbc786d-2rxl2): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.2.4 8080
# seen: TCP connect to endpoint 10.244.3.4:8080 (pod contacts-749dbc786d-snbbl): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.3.4 8080

step 3 'Deeper: loss, size and what is on the wire'
# -Z 1: a SYN that is answered only after it was sent again counts as lost; by itself mtr waits 10 s and counts it as received, late
# -f 10: a packet with a smaller TTL ends at a node, whose rules give its ICMP error the address of the Service; mtr takes that for the Service and looks no further
in_pod crm dialer-79989b968d-5g5vq mtr --tcp --port 8080 -Z 1 -f 10 --report -c 20 -n 10.96.207.70
# while this listens, send a request from another terminal; repeated sequence numbers are retransmissions
in_pod crm dialer-79989b968d-5g5vq timeout 10 tcpdump -ni any -c 200 'host 10.96.207.70 and port 8080'

step 4 'What the API server says about the objects'
kubectl describe pod dialer-79989b968d-5g5vq -n crm
kubectl get pods -n crm -o wide
kubectl get networkpolicies -n crm
kubectl get events -n crm --sort-by=.lastTimestamp
kubectl get endpointslices -n crm -l kubernetes.io/service-name=contacts -o yaml
kubectl describe service contacts -n crm
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

step 5 'Inside the pods and this host'
# could not be asked: pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-2rxl2 ss -tuanp
# could not be asked: pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-6rlnb ss -tuanp
# could not be asked: pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-snbbl ss -tuanp

# Answer: crm/Pod/dialer-79989b968d-5g5vq to crm/Service/contacts:8080 (TCP) fails, and no cause could be proven with what could be looked at
# Could not be checked: sockets from pod crm/contacts-749dbc786d-2rxl2; sockets from pod crm/contacts-749dbc786d-6rlnb; sockets from pod crm/contacts-749dbc786d-snbbl: patch pods/ephemeralcontainers in namespace crm
