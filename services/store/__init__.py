"""Where versions and labels live: a folder or an S3 bucket, same layout, same guarantees.

<model>/<version>/.claim          who took the number; stays even when the version goes, so numbers never return
<model>/<version>/<files>         the SavedModel
<model>/<version>/manifest.json   written last: no manifest, no version
.labels/<model>.json              {label: version}, changed by compare-and-swap
"""

from services.store.labels import Labels, LabelWatch
from services.store.objects import Objects
from services.store.opening import open_objects, open_store
from services.store.versions import Fault, Store, UploadProgress

__all__ = ["Fault", "LabelWatch", "Labels", "Objects", "Store", "UploadProgress", "open_objects", "open_store"]
