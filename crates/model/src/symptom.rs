//! symptom
