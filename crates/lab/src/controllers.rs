//! Deployments, ReplicaSets, EndpointSlices, nodes: objects that follow from objects.
