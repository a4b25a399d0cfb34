#!/bin/sh
# 用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。
# "dialer cannot connect to contacts"
# crm/Pod/dialer-79989b968d-5g5vq 到 crm/Service/contacts:8080（TCP）
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
# 所见： contacts.crm.svc.cluster.local 解析为 10.96.207.70
in_pod crm dialer-79989b968d-5g5vq nslookup contacts.crm.svc.cluster.local.
in_pod crm dialer-79989b968d-xg2nw nslookup contacts.crm.svc.cluster.local.

step 2 '端口是否可达？'
# 所见： TCP 连接 10.96.207.70:8080：5 次中 5 次被拒绝
in_pod crm dialer-79989b968d-5g5vq sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.1.5 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.2.4 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.3.4 8080
in_pod crm dialer-79989b968d-xg2nw sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
# 所见： TCP 连接端点 10.244.1.5:8080（pod contacts-749dbc786d-6rlnb）：被拒绝
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.1.5 8080
# 所见： TCP 连接端点 10.244.2.4:8080（pod contacts-749dbc786d-2rxl2）：被拒绝
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.2.4 8080
# 所见： TCP 连接端点 10.244.3.4:8080（pod contacts-749dbc786d-snbbl）：被拒绝
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.3.4 8080

step 3 '深入：丢包、报文大小与抓包'
# -Z 1：重传后才得到应答的 SYN 计为丢失；缺省等待 10 秒，会计为收到（但很慢）
# -f 10：TTL 较小的报文止于节点，节点规则会把 ICMP 错误的源地址改写成 Service 地址，mtr 会误以为已经到达
in_pod crm dialer-79989b968d-5g5vq mtr --tcp --port 8080 -Z 1 -f 10 --report -c 20 -n 10.96.207.70
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

# 结论： crm/Pod/dialer-79989b968d-5g5vq 到 crm/Service/contacts:8080（TCP） 不通，就所能查看的内容无法证实原因
# 未能检查： 套接字（自 pod crm/contacts-749dbc786d-2rxl2）；套接字（自 pod crm/contacts-749dbc786d-6rlnb）；套接字（自 pod crm/contacts-749dbc786d-snbbl）: patch pods/ephemeralcontainers in namespace crm
