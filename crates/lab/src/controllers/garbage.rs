//! What is left when its owner or its namespace is gone.

use crate::kinds;
use crate::shape;
use crate::store::Store;
use std::collections::BTreeSet;

/// Deletes objects whose every owner is gone, and objects in namespaces that are gone.
pub fn pass(store: &Store) {
    let uids: BTreeSet<String> = kinds::KINDS
        .iter()
        .flat_map(|k| store.of(k.kind))
        .map(|o| shape::uid(&o).to_string())
        .collect();
    let namespaces: BTreeSet<String> = store
        .of("Namespace")
        .iter()
        .map(|o| shape::name(o).to_string())
        .collect();
    for kind in kinds::KINDS {
        for object in store.of(kind.kind) {
            let owners = shape::list(&object, "metadata.ownerReferences");
            // An owner without uid was written by hand in a manifest; it owns nothing.
            let orphan = !owners.is_empty()
                && owners.iter().all(|o| {
                    !shape::text(o, "uid").is_empty() && !uids.contains(shape::text(o, "uid"))
                });
            let homeless = kind.namespaced && !namespaces.contains(shape::namespace(&object));
            if (orphan || homeless) && !shape::is_ending(&object) {
                // Gone in between is what was wanted.
                let _ = store.delete(kind.kind, shape::namespace(&object), shape::name(&object));
            }
        }
    }
    slices_of_gone_services(store);
}

/// Events outlive their object; the slices of a Service do not, also those of another maker.
fn slices_of_gone_services(store: &Store) {
    for slice in store.of("EndpointSlice") {
        let service = shape::label(&slice, "kubernetes.io/service-name");
        let managed = shape::label(&slice, "endpointslice.kubernetes.io/managed-by")
            == super::slices::MANAGED_BY;
        if managed
            && store
                .find("Service", shape::namespace(&slice), service)
                .is_none()
        {
            store.remove(
                "EndpointSlice",
                shape::namespace(&slice),
                shape::name(&slice),
            );
        }
    }
}
