"""The only package that opens or writes plate stacks, tables, images and weights, and checks their contract.

Everything is written to a temporary name and renamed when it is whole and on the disk (single images with their folder).
`docs/contracts.md` says what each file holds.
"""

from brightpaint.base.atomic import atomic as atomic
from brightpaint.base.atomic import atomic_folder as atomic_folder
from brightpaint.base.atomic import replace as replace
from brightpaint.base.atomic import replace_folder as replace_folder
from brightpaint.base.atomic import sync as sync
from brightpaint.store.gathered import open_gathered as open_gathered
from brightpaint.store.hyperstacks import open_hyperstack as open_hyperstack
from brightpaint.store.images import MEND as MEND
from brightpaint.store.images import check_raw as check_raw
from brightpaint.store.images import read_raw as read_raw
from brightpaint.store.images import write_ome as write_ome
from brightpaint.store.images import write_raw as write_raw
from brightpaint.store.masks import Masks as Masks
from brightpaint.store.masks import open_masks as open_masks
from brightpaint.store.masks import write_masks as write_masks
from brightpaint.store.names import FIELD_KEYS as FIELD_KEYS
from brightpaint.store.names import ROW_DEFAULTS as ROW_DEFAULTS
from brightpaint.store.names import ROW_KEYS as ROW_KEYS
from brightpaint.store.names import describe_field as describe_field
from brightpaint.store.names import digest as digest
from brightpaint.store.names import file_digest as file_digest
from brightpaint.store.names import fingerprint as fingerprint
from brightpaint.store.names import part_rows as part_rows
from brightpaint.store.names import place_of as place_of
from brightpaint.store.names import row_keys as row_keys
from brightpaint.store.names import with_row_keys as with_row_keys
from brightpaint.store.progress import Journal as Journal
from brightpaint.store.progress import locked as locked
from brightpaint.store.stacks import Stack as Stack
from brightpaint.store.stacks import StackWriter as StackWriter
from brightpaint.store.stacks import open_stack as open_stack
from brightpaint.store.tables import BATCH_ROWS as BATCH_ROWS
from brightpaint.store.tables import Rows as Rows
from brightpaint.store.tables import as_text as as_text
from brightpaint.store.tables import open_bytes as open_bytes
from brightpaint.store.tables import read_actives as read_actives
from brightpaint.store.tables import read_bytes as read_bytes
from brightpaint.store.tables import read_fields as read_fields
from brightpaint.store.tables import read_groups as read_groups
from brightpaint.store.tables import read_json_lines as read_json_lines
from brightpaint.store.tables import read_schema as read_schema
from brightpaint.store.tables import read_table as read_table
from brightpaint.store.tables import scratch_database as scratch_database
from brightpaint.store.tables import write_groups as write_groups
from brightpaint.store.tables import write_json_lines as write_json_lines
from brightpaint.store.tables import write_rows as write_rows
from brightpaint.store.tables import write_table as write_table
from brightpaint.store.weights import read_tensors as read_tensors
from brightpaint.store.weights import read_weights as read_weights
from brightpaint.store.weights import write_weights as write_weights
