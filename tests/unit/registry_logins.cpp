#include "registry/answers.hpp"
#include "registry/auth_file.hpp"
#include "registry/docker_hub.hpp"
#include "registry/retries.hpp"
#include "registry/secrets.hpp"
#include "registry/token.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

using namespace strata;
using namespace strata::detail;
using namespace std::chrono_literals;
using strata::test::fails_with;
using Texts = std::vector<std::string>;

namespace {

std::string entry(const std::string& key, const std::string& user) {
  return "\"" + key + "\": {\"auth\": \"" + base64(user + ":secret of " + user) + "\"}";
}

std::string user_of(const AuthFile& file, const std::string& repository) {
  const auto found = file.find(repository);
  return found ? found->user : "nobody";
}

}  // namespace

TEST_CASE("base64 both ways", "[registry]") {
  const std::string text = GENERATE(as<std::string>(), "", "a", "ab", "abc", "abcd", std::string("\xff\0\x80", 3));
  CHECK(from_base64(base64(text)) == text);
  CHECK(base64("user:password") == "dXNlcjpwYXNzd29yZA==");
  CHECK(from_base64("dXNlcjpwYXNzd29yZA") == "user:password");
  CHECK_FALSE(from_base64("d"));
  CHECK_FALSE(from_base64("dX Nl"));
}

TEST_CASE("the entry of the longest name that fits", "[registry]") {
  const AuthFile file =
      AuthFile::parse("{\"auths\": {" + entry("r.example", "all") + "," + entry("r.example/team", "team") + "," +
                          entry("r.example/team/app", "app") + "}}",
                      "a file");
  CHECK(user_of(file, "r.example/team/app") == "app");
  CHECK(user_of(file, "r.example/team/app/more") == "app");
  CHECK(user_of(file, "r.example/team/apple") == "team");
  CHECK(user_of(file, "r.example/teams") == "all");
  CHECK(user_of(file, "r.example:5000/team") == "nobody");
  CHECK(file.find("r.example/x")->secret == "secret of all");
}

TEST_CASE("docker's own keys are URLs", "[registry]") {
  const std::string hub(docker_hub_key);
  const AuthFile file = AuthFile::parse(
      "{\"auths\": {" + entry(hub, "hub") + "," + entry("https://r.example:5000/v1/", "r") + "}}", "a file");
  CHECK(user_of(file, "docker.io/library/debian") == "hub");
  CHECK(user_of(file, "r.example:5000/app") == "r");
  CHECK(user_of(file, "r.example/app") == "nobody");
}

TEST_CASE("helpers, tokens, and entries that a helper keeps", "[registry]") {
  const AuthFile file = AuthFile::parse(
      R"({"auths": {"a": {}, "b": {"identitytoken": "t"}, "c": null}, "credsStore": "one", "credHelpers": {"d": "two"}, "x": 1})",
      "a file");
  CHECK(file.store == "one");
  CHECK(file.helpers.at("d") == "two");
  CHECK_FALSE(file.find("a/x"));
  CHECK(file.find("b/x")->identity_token == "t");
}

TEST_CASE("an auth file that is none is refused, and nothing of it shown", "[registry]") {
  const std::string bad =
      GENERATE(as<std::string>(), "", "{", "[]", R"({"auths": []})", R"({"auths": {"a": "secret"}})",
               R"({"auths": {"a": {"auth": "secret!"}}})", R"({"auths": {"a": {"auth": "c2VjcmV0"}}})",
               R"({"credsStore": "../secret/x"})", R"({"credHelpers": {"a": ""}})", R"({"credHelpers": 1})");
  CAPTURE(bad);
  CHECK(fails_with(errc::bad_archive, [&] { AuthFile::parse(bad, "a file"); }));
}

TEST_CASE("what helpers answer", "[registry]") {
  CHECK(parse_helper_answer(R"({"ServerURL":"x","Username":"u","Secret":"s"})", "h").secret == "s");
  CHECK(parse_helper_answer(R"({"ServerURL":"x","Username":"<token>","Secret":"s"})", "h").identity_token == "s");
  CHECK(fails_with(errc::bad_archive, [] { parse_helper_answer("secret", "h"); }));
  CHECK(fails_with(errc::bad_archive, [] { parse_helper_answer("{}", "h"); }));
}

TEST_CASE("tokens and how long they live", "[registry]") {
  CHECK(Token::parse(R"({"token":"t"})", "x").lifetime == 60s);
  CHECK(Token::parse(R"({"token":"t","expires_in":5})", "x").lifetime == 60s);
  CHECK(Token::parse(R"({"access_token":"t","expires_in":300})", "x").lifetime == 300s);
  CHECK(Token::parse(R"({"token":"t","expires_in":18446744073709551615})", "x").lifetime == 24h);
  CHECK(Token::parse(R"({"token":"t","access_token":"u"})", "x").text == "t");
  const std::string bad =
      GENERATE(as<std::string>(), "", "{}", R"({"token":1})", R"({"token":""})", R"({"token":"a\r\nb"})",
               R"({"token":"t","expires_in":-1})", "{\"token\":\"" + std::string(20000, 'a') + "\"}");
  CHECK(fails_with(errc::bad_archive, [&] { Token::parse(bad, "x"); }));
}

TEST_CASE("scopes of a request, and of its challenge", "[registry]") {
  const Texts push = {"repository:a/b:pull,push"};
  CHECK(with_scope(push, "") == push);
  CHECK(with_scope(push, "repository:a/b:pull") == push);
  CHECK(with_scope(push, "repository:x/a/b:pull registry:catalog:*") ==
        Texts{"repository:a/b:pull,push", "repository:x/a/b:pull", "registry:catalog:*"});
}

TEST_CASE("what errors explain", "[registry]") {
  CHECK(explanation_of(R"({"errors":[{"code":"DENIED","message":"no"},{}]})") == "'DENIED': 'no'");
  CHECK(explanation_of(R"({"errors":[{"code":"DENIED"}]})") == "'DENIED'");
  CHECK(explanation_of(R"({"details":"wrong password"})") == "'wrong password'");
  CHECK(explanation_of(R"({"error":"invalid_grant","error_description":"old"})") == "'invalid_grant': 'old'");
  CHECK(explanation_of(R"({"errors":[1]})").empty());
  CHECK(explanation_of("<html>").empty());
  CHECK(explanation_of("{\"errors\":[{\"message\":\"\x1b[31m\"}]}").find('\x1b') == std::string::npos);
}

TEST_CASE("secrets are hidden, the longer ones first", "[registry]") {
  Secrets secrets;
  secrets.add("");
  secrets.add("pass");
  secrets.add("password");
  CHECK(secrets.hidden("a password, a pass, no pas") == "a [secret], a [secret], no pas");
}

TEST_CASE("retries wait longer each time, tell why, and can be stopped", "[registry]") {
  std::vector<std::string> told;
  const RegistryOptions options{
      .retries = 2, .first_delay = 10ms, .on_retry = [&](const std::string& what) { told.push_back(what); }};
  Retries retries(options);
  const auto started = std::chrono::steady_clock::now();
  retries.wait("one", {}, {});
  retries.wait("two", {}, {});
  CHECK_FALSE(retries.left());
  CHECK(std::chrono::steady_clock::now() - started >= 15ms);
  CHECK(told.size() == 2);
  CHECK_THAT(told.at(1), Catch::Contains("two; try 2 of 2 in "));
  retries.made_headway();
  CHECK(retries.left());
  std::stop_source stop;
  stop.request_stop();
  CHECK(fails_with(errc::cancelled, [&] { retries.wait("", 20s, stop.get_token()); }));
  CHECK(std::chrono::steady_clock::now() - started < 10s);
}
