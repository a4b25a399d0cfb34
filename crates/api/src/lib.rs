//! Kubernetes objects from manifests, dumps and recordings.
