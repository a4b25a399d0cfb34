#!/bin/sh
# 用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。
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

step 1 '域名能否解析？'
# 所见： contacts.crm.svc.cluster.local resolves to 10.96.207.70
in_pod crm dialer-79989b968d-5g5vq nslookup contacts.crm.svc.cluster.local.
in_pod crm dialer-79989b968d-xg2nw nslookup contacts.crm.svc.cluster.local.

step 2 '端口是否可达？'
# 所见： TCP connect to 10.96.207.70:8080: 5 of 5 refused
in_pod crm dialer-79989b968d-5g5vq sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.1.5 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.2.4 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.3.4 8080
in_pod crm dialer-79989b968d-xg2nw sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
# 所见： TCP connect to endpoint 10.244.1.5:8080 (pod contacts-749dbc786d-6rlnb): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.1.5 8080
# 所见： TCP connect to endpoint 10.244.2.4:8080 (pod contacts-749dbc786d-2rxl2): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.2.4 8080
# 所见： TCP connect to endpoint 10.244.3.4:8080 (pod contacts-749dbc786d-snbbl): refused
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.3.4 8080

step 3 '深入：丢包、报文大小与抓包'
in_pod crm dialer-79989b968d-5g5vq mtr --tcp --port 8080 --report -c 10 -n 10.96.207.70
# 抓包时请在另一终端发起请求；重复的序号即为重传
in_pod crm dialer-79989b968d-5g5vq timeout 10 tcpdump -ni any -c 200 'host 10.96.207.70 and port 8080'

step 4 'API Server 中的对象'
kubectl describe pod dialer-79989b968d-5g5vq -n crm
kubectl get pods -n crm -o wide
kubectl get networkpolicies -n crm
kubectl get events -n crm --sort-by=.lastTimestamp
kubectl get endpointslices -n crm -l kubernetes.io/service-name=contacts -o yaml
kubectl describe service contacts -n crm
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

step 5 'Pod 与本机内部'
# 未能探测： pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-2rxl2 ss -tuanp
# 未能探测： pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-6rlnb ss -tuanp
# 未能探测： pods/ephemeralcontainers is forbidden: User "viewer" cannot patch it in the namespace "crm"
in_pod crm contacts-749dbc786d-snbbl ss -tuanp

# 结论： crm/Pod/dialer-79989b968d-5g5vq to crm/Service/contacts:8080 (TCP) fails, and no cause could be proven with what could be looked at
# 未能检查： sockets from pod crm/contacts-749dbc786d-2rxl2: patch pods/ephemeralcontainers in namespace crm
# 未能检查： sockets from pod crm/contacts-749dbc786d-6rlnb: patch pods/ephemeralcontainers in namespace crm
# 未能检查： sockets from pod crm/contacts-749dbc786d-snbbl: patch pods/ephemeralcontainers in namespace crm
