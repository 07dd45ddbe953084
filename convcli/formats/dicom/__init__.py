"""DICOM: images by pydicom and imagecodecs; not written, and nothing of a patient is kept."""
