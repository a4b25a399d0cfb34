#!/bin/sh
# 用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。
# "dialer cannot connect to contacts"
# crm/Pod/dialer-79989b968d-5g5vq to crm/Service/contacts:8080 (TCP)
# netshoot 0.1.0, world, 2026-11-26T12:29:20.718Z
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
in_pod crm dialer-79989b968d-5g5vq nslookup contacts.crm.svc.cluster.local.
in_pod crm dialer-79989b968d-xg2nw nslookup contacts.crm.svc.cluster.local.

step 2 '端口是否可达？'
in_pod crm dialer-79989b968d-5g5vq sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.1.2 8080
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.2.2 8080
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.2.4 8080
in_pod crm dialer-79989b968d-5g5vq nc -zv -w 1 10.244.3.2 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.1.2 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.2.2 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.2.4 8080
in_pod crm dialer-79989b968d-xg2nw nc -zv -w 1 10.244.3.2 8080
in_pod crm dialer-79989b968d-xg2nw sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.207.70 8080; done'

step 3 '请求是否成功？'
in_pod crm dialer-79989b968d-5g5vq sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve contacts.crm.svc.cluster.local:8080:10.96.207.70 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://contacts.crm.svc.cluster.local:8080/; done'
in_pod crm dialer-79989b968d-xg2nw sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve contacts.crm.svc.cluster.local:8080:10.96.207.70 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://contacts.crm.svc.cluster.local:8080/; done'

step 4 '深入：丢包、报文大小与抓包'
# -Z 1：重传后才得到应答的 SYN 计为丢失；缺省等待 10 秒，会计为收到（但很慢）
# -f 10：TTL 较小的报文止于节点，节点规则会把 ICMP 错误的源地址改写成 Service 地址，mtr 会误以为已经到达
in_pod crm dialer-79989b968d-5g5vq mtr --tcp --port 8080 -Z 1 -f 10 --report -c 20 -n 10.96.207.70
# 抓包时请在另一终端发起请求；重复的序号即为重传
in_pod crm dialer-79989b968d-5g5vq timeout 10 tcpdump -ni any -c 200 'host 10.96.207.70 and port 8080'

step 5 'API Server 中的对象'
kubectl describe pod dialer-79989b968d-xg2nw -n crm
kubectl get pods -n crm -o wide
kubectl get networkpolicies -n crm
kubectl get events -n crm --sort-by=.lastTimestamp
kubectl get endpointslices -n crm -l kubernetes.io/service-name=contacts -o yaml
kubectl describe service contacts -n crm
kubectl describe deployment contacts -n crm
kubectl logs deployment/contacts -n crm --tail=50
kubectl logs deployment/contacts -n crm --tail=50 --previous
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

step 6 'Pod 与本机内部'
in_pod crm contacts-749dbc786d-2rxl2 ss -tuanp

step 7 '节点上'
on_node node-b ip -d -s address show

# 根因： crm/Deployment/contacts listens on 127.0.0.1:8080 only: nobody outside the pod can reach it
#   -> the socket is bound to 127.0.0.1
#   -> the pod's own address has no listener
#   -> the kernel refuses the SYN with a RST
# 修复（本脚本不会执行）： BIND_ADDRESS=127.0.0.1 in container contacts is what binds it; 0.0.0.0 opens it to everybody who may reach the pod, so a NetworkPolicy should say who may
#   kubectl patch deployment/contacts -n crm --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"BIND_ADDRESS","value":"0.0.0.0"}],"name":"contacts"}]}}}}'
# 然后： netshoot diagnose --from pod/dialer-79989b968d-xg2nw -n crm --to svc/contacts.crm:8080
