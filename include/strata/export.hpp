// What the shared library shows: everything is hidden but what carries STRATA_API.
#pragma once

#if defined(__GNUC__)
#define STRATA_API __attribute__((visibility("default")))
#else
#define STRATA_API
#endif
