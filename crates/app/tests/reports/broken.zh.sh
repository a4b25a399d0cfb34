#!/bin/sh
# 用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。
# "user-service calls to auth-service time out"
# production/Pod/user-service-65b6d4db96-9sg4m 到 production/Service/auth-service:8080（TCP）
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

step 1 '域名能否解析？'
in_pod production user-service-65b6d4db96-w9fts nslookup auth-service.production.svc.cluster.local.
# 所见： auth-service.production.svc.cluster.local 解析为 10.96.85.7
in_pod production user-service-65b6d4db96-9sg4m nslookup auth-service.production.svc.cluster.local.

step 2 '端口是否可达？'
in_pod production user-service-65b6d4db96-w9fts sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.85.7 8080; done'
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.1.3 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.1.4 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.2.3 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.3.2 8080
in_pod production user-service-65b6d4db96-w9fts nc -zv -w 1 10.244.3.3 8080
# 所见： TCP 连接端点 10.244.1.3:8080（pod auth-service-57f7b67bf6-b7pm7）：有应答
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.1.3 8080
# 所见： TCP 连接端点 10.244.1.4:8080（pod auth-service-57f7b67bf6-wl9gc）：有应答
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.1.4 8080
# 所见： TCP 连接端点 10.244.2.3:8080（pod auth-service-57f7b67bf6-k9p65）：无应答
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.2.3 8080
# 所见： TCP 连接端点 10.244.3.2:8080（pod auth-service-57f7b67bf6-2rx9t）：有应答
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.3.2 8080
# 所见： TCP 连接 10.96.85.7:8080：共 5 次：3 次有应答、2 次无应答
in_pod production user-service-65b6d4db96-9sg4m sh -c 'for i in 1 2 3 4 5; do nc -zv -w 1 10.96.85.7 8080; done'
# 所见： TCP 连接端点 10.244.3.3:8080（pod auth-service-57f7b67bf6-pxk2b）：有应答
in_pod production user-service-65b6d4db96-9sg4m nc -zv -w 1 10.244.3.3 8080

step 3 '请求是否成功？'
# 所见： HTTP 请求 10.96.85.7:8080：共 3 次：2 次有应答、1 次无应答（失败阶段：connect）
in_pod production user-service-65b6d4db96-9sg4m sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve auth-service.production.svc.cluster.local:8080:10.96.85.7 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://auth-service.production.svc.cluster.local:8080/health; done'
in_pod production user-service-65b6d4db96-w9fts sh -c 'for i in 1 2 3; do curl -v -o /dev/null --max-time 1 --resolve auth-service.production.svc.cluster.local:8080:10.96.85.7 -w '\''%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\n'\'' -H "X-Padding: $(head -c 4000 /dev/zero | tr '\''\0'\'' x)" http://auth-service.production.svc.cluster.local:8080/health; done'

step 4 '深入：丢包、报文大小与抓包'
# -Z 1：重传后才得到应答的 SYN 计为丢失；缺省等待 10 秒，会计为收到（但很慢）
# -f 10：TTL 较小的报文止于节点，节点规则会把 ICMP 错误的源地址改写成 Service 地址，mtr 会误以为已经到达
in_pod production user-service-65b6d4db96-9sg4m mtr --tcp --port 8080 -Z 1 -f 10 --report -c 20 -n 10.96.85.7
# 抓包时请在另一终端发起请求；重复的序号即为重传
in_pod production user-service-65b6d4db96-9sg4m timeout 10 tcpdump -ni any -c 200 'host 10.96.85.7 and port 8080'
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.1.3
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.1.4
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.2.3
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-9sg4m ping -c 40 -i 0.2 -W 1 10.244.3.2
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.1.3
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.1.4
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.2.3
# 未能探测： not in the recording
in_pod production user-service-65b6d4db96-w9fts ping -c 40 -i 0.2 -W 1 10.244.3.2
# 未能探测： not in the recording
on_node node-b ping -c 40 -i 0.2 -W 1 10.90.0.11
# 未能探测： not in the recording
on_node node-b ping -c 40 -i 0.2 -W 1 10.90.0.13
# 未能探测： not in the recording
on_node node-c ping -c 40 -i 0.2 -W 1 10.90.0.11
# 未能探测： not in the recording
on_node node-c ping -c 40 -i 0.2 -W 1 10.90.0.12
# 所见： 客户端抓包 1500 毫秒：87 个连接中有 3 个共 3 次 TCP 重传，14 次握手毫无应答
in_pod production user-service-65b6d4db96-w9fts timeout 2 tcpdump -ni any 'port 8080'
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.1.3
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.1.4
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.2.3
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.3.2
in_pod production user-service-65b6d4db96-w9fts ping -c 3 -i 0.2 -W 1 10.244.3.3
# 所见： 客户端抓包 1500 毫秒：73 个连接中有 8 个共 8 次 TCP 重传，12 次握手毫无应答
in_pod production user-service-65b6d4db96-9sg4m timeout 2 tcpdump -ni any 'port 8080'
# 所见： ICMP echo 到 10.244.1.3：3 次中 3 次有应答
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.1.3
# 所见： ICMP echo 到 10.244.1.4：3 次中 3 次有应答
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.1.4
# 所见： ICMP echo 到 10.244.2.3：3 次中 3 次有应答
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.2.3
# 所见： ICMP echo 到 10.244.3.2：3 次中 3 次有应答
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.3.2
# 所见： ICMP echo 到 10.244.3.3：3 次中 3 次有应答
in_pod production user-service-65b6d4db96-9sg4m ping -c 3 -i 0.2 -W 1 10.244.3.3

step 5 'API Server 中的对象'
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

step 6 'Pod 与本机内部'
in_pod production auth-service-57f7b67bf6-2rx9t ss -tuanp
# 所见： pod auth-service-57f7b67bf6-2rx9t：accept 队列溢出 26 次（TcpExt.ListenOverflows）
in_pod production auth-service-57f7b67bf6-2rx9t nstat -asz
in_pod production auth-service-57f7b67bf6-b7pm7 ss -tuanp
# 所见： pod auth-service-57f7b67bf6-b7pm7：accept 队列溢出 30 次（TcpExt.ListenOverflows）
in_pod production auth-service-57f7b67bf6-b7pm7 nstat -asz
in_pod production auth-service-57f7b67bf6-pxk2b ss -tuanp
in_pod production auth-service-57f7b67bf6-pxk2b nstat -asz
in_pod production auth-service-57f7b67bf6-wl9gc ss -tuanp
in_pod production auth-service-57f7b67bf6-wl9gc nstat -asz
# 所见： pod auth-service-57f7b67bf6-k9p65：accept 队列溢出 18 次（TcpExt.ListenOverflows）
in_pod production auth-service-57f7b67bf6-k9p65 nstat -asz
# 所见： pod auth-service-57f7b67bf6-k9p65：9 个连接在长度为 8 的 accept 队列中等待
in_pod production auth-service-57f7b67bf6-k9p65 ss -tuanp
in_pod production user-service-65b6d4db96-9sg4m ip -d -s address show
in_pod production user-service-65b6d4db96-w9fts ip -d -s address show
in_pod production auth-service-57f7b67bf6-k9p65 ip -d -s address show

step 7 '节点上'
# 未能探测： not in the recording
on_node node-b conntrack -L
on_node node-b conntrack -S
# 未能探测： not in the recording
on_node node-b ip -4 route show table all
on_node node-b ip -6 route show table all
# 未能探测： not in the recording
on_node node-c conntrack -L
on_node node-c conntrack -S
# 未能探测： not in the recording
on_node node-c ip -4 route show table all
on_node node-c ip -6 route show table all
# 所见： pod auth-service-57f7b67bf6-b7pm7：63Mi 到 64Mi（上限 64Mi，198 毫秒内），最高 64Mi，触及上限 80 次（cgroup v1）
# 所见： pod auth-service-57f7b67bf6-b7pm7：28Mi 到 44Mi（上限 64Mi，901 毫秒内），最高 44Mi，触及上限 0 次（cgroup v1）
kubectl top pod auth-service-57f7b67bf6-b7pm7 -n production --containers
kubectl describe pod auth-service-57f7b67bf6-b7pm7 -n production
# 所见： pod auth-service-57f7b67bf6-wl9gc：34Mi 到 56Mi（上限 64Mi，1400 毫秒内），最高 56Mi，触及上限 0 次（cgroup v1）
# 所见： pod auth-service-57f7b67bf6-wl9gc：58Mi 到 60Mi（上限 64Mi，900 毫秒内），最高 60Mi，触及上限 0 次（cgroup v1）
kubectl top pod auth-service-57f7b67bf6-wl9gc -n production --containers
kubectl describe pod auth-service-57f7b67bf6-wl9gc -n production
# 所见： pod auth-service-57f7b67bf6-k9p65：60Mi 到 15Mi（上限 64Mi，1401 毫秒内），最高 64Mi，触及上限 52 次（cgroup v1）
kubectl top pod auth-service-57f7b67bf6-k9p65 -n production --containers
kubectl describe pod auth-service-57f7b67bf6-k9p65 -n production
# 所见： pod auth-service-57f7b67bf6-2rx9t：22Mi 到 49Mi（上限 64Mi，1400 毫秒内），最高 49Mi，触及上限 0 次（cgroup v1）
# 所见： pod auth-service-57f7b67bf6-2rx9t：51Mi 到 60Mi（上限 64Mi，901 毫秒内），最高 60Mi，触及上限 0 次（cgroup v1）
kubectl top pod auth-service-57f7b67bf6-2rx9t -n production --containers
kubectl describe pod auth-service-57f7b67bf6-2rx9t -n production
# 所见： pod auth-service-57f7b67bf6-pxk2b：56Mi 到 60Mi（上限 64Mi，1400 毫秒内），最高 60Mi，触及上限 0 次（cgroup v1）
# 所见： pod auth-service-57f7b67bf6-pxk2b：60Mi 到 61Mi（上限 64Mi，900 毫秒内），最高 61Mi，触及上限 0 次（cgroup v1）
kubectl top pod auth-service-57f7b67bf6-pxk2b -n production --containers
kubectl describe pod auth-service-57f7b67bf6-pxk2b -n production
# 所见： cni0 已启用，mtu 1500
on_node node-b ip -d -s address show
# 所见： 10.96.85.7:8080 转发到 10.244.1.3:8080、10.244.1.4:8080、10.244.3.2:8080、10.244.3.3:8080
on_node node-b nft list ruleset
on_node node-b iptables-save
on_node node-c ip -d -s address show
# 所见： 节点 node-b 上 net.ipv4.ip_forward = 1
on_node node-b sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
on_node node-c nft list ruleset
on_node node-c iptables-save
on_node node-c sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding

# 根因： production/Deployment/auth-service 的内存上限 64Mi 低于其 Pod 所需：它们轮流被 OOMKilled，并在此之前停顿
#   -> 容器 auth-service 的内存上限 64Mi
#   -> 5 个 Pod 中 1 个被 OOMKilled，最近一次在 1s 前
#   -> 5 个存活 Pod 中 4 个高于上限的 80 %
#   -> 停顿的 Pod 不再接受连接：accept 队列溢出 74 次，发往它们的 SYN 消失
#   -> 与 auth-service-57f7b67bf6-k9p65 的握手没有应答
#   -> 经 Service 的 3 次尝试中 1 次失败
# 未能检查： ICMP echo 到 10.244.1.3，40 次（自 pod production/user-service-65b6d4db96-9sg4m）；ICMP echo 到 10.244.1.3，40 次（自 pod production/user-service-65b6d4db96-w9fts）；ICMP echo 到 10.244.1.4，40 次（自 pod production/user-service-65b6d4db96-9sg4m）；ICMP echo 到 10.244.1.4，40 次（自 pod production/user-service-65b6d4db96-w9fts）；以及另外 12 项: 录制文件中没有该答案
# 修复（本脚本不会执行）： 上限至少 119Mi，建议 192Mi，因为增长趋向于约 119Mi；再加一半，因为进程在到达上限之前很久就会停顿；滚动更新会逐个替换 Pod
#   kubectl set resources deployment/auth-service -n production -c auth-service --limits=memory=192Mi --requests=memory=96Mi
#   ? 每个 Pod 192Mi 是节点和预算能承受的吗？还是应当把应用的缓存上限调低？
# 然后： netshoot diagnose --from pod/user-service-65b6d4db96-9sg4m -n production --to svc/auth-service.production:8080
