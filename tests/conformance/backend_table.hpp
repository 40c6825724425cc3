// What each backend was seen to do, as a table at the end of the run: rows are the suite's sections.
#pragma once

#include <string>

namespace strata::test {

/// Says that a backend lacks what the section that runs asks for, in part or wholly: the table shows why.
void unsupported(const std::string& why);

}  // namespace strata::test
