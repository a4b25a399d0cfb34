//! What a diagnosis is given of a world: objects, logs, probes, patches. Never the folder, the fault, the behaviour or the seed.
