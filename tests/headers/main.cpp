int main() {}  // that it links is the test
