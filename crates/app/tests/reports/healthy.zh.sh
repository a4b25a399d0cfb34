#!/bin/sh
# 用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。
# "gallery gets connection errors from thumbnails"
# media/Pod/gallery-fbcd8bd4f-s2phc 到 media/Service/thumbnails:80（TCP）
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

step 1 '域名能否解析？'
# 所见： thumbnails.media.svc.cluster.local 解析为 10.96.238.146
in_pod media gallery-fbcd8bd4f-s2phc nslookup thumbnails.media.svc.cluster.local.
in_pod media gallery-fbcd8bd4f-vd7z9 nslookup thumbnails.media.svc.cluster.local.

step 2 '端口是否可达？'
# 所见： TCP 连接端点 10.244.1.4:8080（pod thumbnails-77f9c4698f-xl4wq）：有应答
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.1.4 8080
# 所见： TCP 连接端点 10.244.2.3:8080（pod thumbnails-77f9c4698f-2nv4m）：有应答
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.2.3 8080
# 所见： TCP 连接端点 10.244.3.3:8080（pod thumbnails-77f9c4698f-q4wsm）：有应答
in_pod media gallery-fbcd8bd4f-s2phc nc -zv -w 1 10.244.3.3 8080
# 所见： TCP 连接 10.96.238.146:80：5 次中 5 次有应答
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.238.146 80; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.238.146 80; done'
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.1.4 8080
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.2.3 8080
in_pod media gallery-fbcd8bd4f-vd7z9 nc -zv -w 1 10.244.3.3 8080

step 3 '请求是否成功？'
# 所见： HTTP 请求 10.96.238.146:80：3 次中 3 次有应答
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
# 所见： HTTP 请求 10.96.238.146:80：24 次中 24 次有应答
in_pod media gallery-fbcd8bd4f-s2phc sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'
in_pod media gallery-fbcd8bd4f-vd7z9 sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do curl -v -o /dev/null --max-time 1 --resolve thumbnails.media.svc.cluster.local:80:10.96.238.146 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://thumbnails.media.svc.cluster.local:80/health; done'

step 4 '深入：丢包、报文大小与抓包'
# -Z 1：重传后才得到应答的 SYN 计为丢失；缺省等待 10 秒，会计为收到（但很慢）
# -f 10：TTL 较小的报文止于节点，节点规则会把 ICMP 错误的源地址改写成 Service 地址，mtr 会误以为已经到达
in_pod media gallery-fbcd8bd4f-s2phc mtr --tcp --port 80 -Z 1 -f 10 --report -c 20 -n 10.96.238.146
# 抓包时请在另一终端发起请求；重复的序号即为重传
in_pod media gallery-fbcd8bd4f-s2phc timeout 10 tcpdump -ni any -c 200 'host 10.96.238.146 and port 80'

step 5 'API Server 中的对象'
kubectl describe pod gallery-fbcd8bd4f-s2phc -n media
kubectl get pods -n media -o wide
kubectl get networkpolicies -n media
kubectl get events -n media --sort-by=.lastTimestamp
kubectl get endpointslices -n media -l kubernetes.io/service-name=thumbnails -o yaml
kubectl describe service thumbnails -n media
kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide

# 结论： media/Pod/gallery-fbcd8bd4f-s2phc 到 media/Service/thumbnails:80（TCP） 正常：HTTP 请求 10.96.238.146:80：24 次中 24 次有应答
