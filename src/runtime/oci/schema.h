// The OCI runtime specification's fields, as tables for decode.h.
#pragma once

#include "runtime/oci/decode.h"

extern const struct decode_field oci_config_fields[]; // of struct oci_spec
extern const struct decode_field oci_process_fields[]; // of struct oci_process
