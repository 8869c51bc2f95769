"""Registering: what is answered, which fields are refused, and that a name and an address belong to one."""

from __future__ import annotations

import pytest

from app.domain import clock
from app.models.users import EmailClaim, find_user
from tests.support.people import NOON, PASSWORD, fields_named, problem, registration
from tests.support.usage import usage, usage_of

USER_FIELDS = {
    "username",
    "email",
    "first_name",
    "last_name",
    "phone",
    "date_of_birth",
    "marketing_emails_consent",
    "role",
    "created_at",
    "updated_at",
}


def years_ago(years: int, *, days: int = 0) -> str:
    """The birthday of who becomes so old at NOON, or some days later."""
    return NOON.replace(year=NOON.year - years, day=NOON.day + days).date().isoformat()


def register(client, **fields):
    return client.post("/api/v1/auth/register", json=registration(**fields))


def test_the_answer(client):
    body = registration(phone="+44 20 7946 0000", date_of_birth="1990-12-31", marketing_emails_consent=True)
    response = client.post("/api/v1/auth/register", json=body)
    assert response.status_code == 201
    assert set(response.json) == {"success", "message", "user"}
    assert response.json["success"] is True
    assert response.json["message"] == "User registered successfully"
    user = response.json["user"]
    assert set(user) == USER_FIELDS
    assert user["role"] == "customer"
    assert (user["phone"], user["date_of_birth"], user["marketing_emails_consent"]) == (
        "+442079460000",
        "1990-12-31",
        True,
    )
    assert user["created_at"] == user["updated_at"] and user["created_at"].endswith("Z")


def test_what_is_optional_may_be_left_out_or_null(client):
    for more in ({}, {"phone": None}):
        body = {**registration(), **more}
        user = client.post("/api/v1/auth/register", json=body).json["user"]
        assert (user["phone"], user["date_of_birth"], user["marketing_emails_consent"]) == (None, None, False)


def test_unknown_fields_are_ignored(client):
    response = register(client, role="ADMIN", status="SUSPENDED", session_epoch=9, captcha={"a": [1]})
    assert response.status_code == 201 and response.json["user"]["role"] == "customer"


LONG_DOMAIN = "@" + ".".join(["b" * 60] * 3) + ".c" * 5 + "o"
ACCEPTED = {
    "e-mail of 254": ("email", "a" * 60 + LONG_DOMAIN, "a" * 60 + LONG_DOMAIN),
    "username in capitals": ("username", "CAPS_Person", "caps_person"),
    "username of 3": ("username", "a_1", "a_1"),
    "username of 30": ("username", "n" * 30, "n" * 30),
    "e-mail in capitals": ("email", "Capitals@EXAMPLE.com", "capitals@example.com"),
    "e-mail with a tag": ("email", "a+b.c@sub.example.com", "a+b.c@sub.example.com"),
    "name with accents": ("first_name", "Zoë", "Zoë"),
    "name of another script": ("first_name", "Владимир", "Владимир"),
    "name in Chinese": ("last_name", "李", "李"),
    "name with marks": ("last_name", "O'Brien-St. John", "O'Brien-St. John"),
    "name with a curly apostrophe": ("last_name", "O’Brien", "O'Brien"),
    "name with a zero-width non-joiner": ("first_name", "می\u200cنا", "می\u200cنا"),
    "name with a zero-width joiner": ("last_name", "ක්\u200dරිස්ටි", "ක්\u200dරිස්ටි"),
    "name that ends in a joiner": ("first_name", "രാജന്\u200d", "രാജന്\u200d"),
    "name in Catalan": ("last_name", "Gal·la", "Gal·la"),
    "name in Katakana": ("last_name", "ジョン・スミス", "ジョン・スミス"),
    "name in Hebrew": ("last_name", "בן־דוד", "בן־דוד"),
    "name in Tibetan": ("first_name", "བསྟན་འཛིན", "བསྟན་འཛིན"),
    "name with a typographic hyphen": ("last_name", "Smith\u2010Jones", "Smith\u2010Jones"),
    "name with a no-break space": ("last_name", "van\u00a0Dyck", "van Dyck"),
    "name with an ideographic space": ("last_name", "山田\u3000太郎", "山田 太郎"),
    "name with a variation of a letter": ("last_name", "葛\U000e0100城", "葛\U000e0100城"),
    "name in decomposed letters": ("first_name", "Zoe\u0308", "Zoë"),
    "name with spaces around": ("first_name", "  Ann ", "Ann"),
    "name of 50": ("first_name", "A" * 50, "A" * 50),
    "phone of 10": ("phone", "(020) 794-6000", "0207946000"),
    "phone of 15": ("phone", "123456789012345", "123456789012345"),
    "age 13": ("date_of_birth", years_ago(13), years_ago(13)),
    "age 120": ("date_of_birth", years_ago(121, days=1), years_ago(121, days=1)),
    "a leap day": ("date_of_birth", "2000-02-29", "2000-02-29"),
    "consent": ("marketing_emails_consent", True, True),
}


@pytest.mark.parametrize(("field", "value", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(client, field, value, expected):
    with clock.at(NOON):
        response = register(client, **{field: value})
    assert response.status_code == 201, response.text
    assert response.json["user"][field] == expected


@pytest.mark.parametrize(
    "password",
    [
        "ekplxwvoturd",
        "correct horses, battery staples",
        "äxäkälämänüöx",
        "пароль из слов",
        " leading and trailing ",
        ("seven green kettles and " * 6)[:128],
        "ｆｕｌｌ　ｗｉｄｔｈ　１２",
        "p𝒂ssw🔑rd with emoji",
    ],
)
def test_a_password_works_as_typed(client, password):
    body = registration(password=password)
    assert client.post("/api/v1/auth/register", json=body).status_code == 201
    for attempt, status in (
        (password, 200),
        (password + " ", 401),
        (password.strip() + "x", 401),
        (password[:-1], 401),
    ):
        answer = client.post("/api/v1/auth/login", json={"username": body["username"], "password": attempt})
        assert answer.status_code == status, attempt


def test_a_password_typed_in_two_forms_is_the_same(client):
    """One keyboard sends ä as one letter, another as a and a diaeresis."""
    body = registration(password="a\u0308pfel und birnen")
    assert client.post("/api/v1/auth/register", json=body).status_code == 201
    answer = client.post("/api/v1/auth/login", json={"username": body["username"], "password": "äpfel und birnen"})
    assert answer.status_code == 200


NO_TEXT = {"a number": 12, "a fraction": 1.5, "true": True, "an array": ["x"], "an object": {"a": 1}}
REFUSED = {
    **{
        f"{field} is {kind}": (field, value)
        for field in ("username", "email", "password", "first_name", "last_name", "phone", "date_of_birth")
        for kind, value in NO_TEXT.items()
    },
    **{
        f"{field} {what}": (field, f"Ann{text}Smith and more")
        for field in ("username", "email", "password", "first_name", "last_name", "phone", "date_of_birth")
        for what, text in {
            "with a null byte": "\0",
            "with a line break": "\n",
            "with escape": "\x1b",
            "with a C1 control": "\x85",
            "with a lone surrogate": "\ud800",
            "with a lone low surrogate": "\udfff",
        }.items()
    },
    **{f"{field} missing": (field, None) for field in ("username", "email", "password", "first_name", "last_name")},
    **{
        f"{field} empty": (field, "")
        for field in ("username", "email", "password", "first_name", "last_name", "date_of_birth")
    },
    "username of 2": ("username", "ab"),
    "username of 31": ("username", "a" * 31),
    "username with a space": ("username", "ann smith"),
    "username with #": ("username", "ann#smith"),
    "username with a hyphen": ("username", "ann-smith"),
    "username with ß": ("username", "straße"),
    "username with a Kelvin sign": ("username", "\u212aelvin"),
    "username with a dotted I": ("username", "\u0130stanbul"),
    "username with full-width letters": ("username", "ａｎｎ_smith"),
    "username with Arabic digits": ("username", "ann١٢٣"),
    "e-mail without @": ("email", "example.com"),
    "e-mail without a domain": ("email", "ann@"),
    "e-mail with two @": ("email", "a@b@example.com"),
    "e-mail with a space": ("email", "a b@example.com"),
    "e-mail with #": ("email", "a#b@example.com"),
    "e-mail without a dot": ("email", "ann@localhost"),
    "e-mail of an address": ("email", "ann@[127.0.0.1]"),
    "e-mail with a name": ("email", "Ann <ann@example.com>"),
    "e-mail of 255": ("email", "a" * 61 + LONG_DOMAIN),
    "e-mail of 60000": ("email", "a" * 60_000 + "@example.com"),
    "password of 11": ("password", "abcdefghijk"),
    "password of 129": ("password", "abc de fgh" * 12 + "123456789"),
    "password of one letter": ("password", "aaaaaaaaaaaaaa"),
    "password everybody has": ("password", "qwerty123456"),
    "password everybody has, in capitals": ("password", "QWERTY123456"),
    "first name with digits": ("first_name", "Ann3"),
    "first name with markup": ("first_name", "<b>Ann</b>"),
    "first name without a letter": ("first_name", "-."),
    "first name of 51": ("first_name", "A" * 51),
    "last name of spaces": ("last_name", "   "),
    "last name with an emoji": ("last_name", "Smith😀"),
    "last name with a hidden mark": ("last_name", "Smi\u200bth"),
    "last name that begins with a joiner": ("last_name", "\u200dSmith"),
    "last name with a joiner after a space": ("last_name", "van \u200cDyck"),
    "last name with two joiners": ("last_name", "Smi\u200d\u200cth"),
    "last name of joiners": ("last_name", "\u200c\u200d"),
    "last name with a line separator": ("last_name", "Smi\u2028th"),
    "last name with a paragraph separator": ("last_name", "Smi\u2029th"),
    "last name of a filler": ("last_name", "\u3164"),
    "last name with a soft hyphen": ("last_name", "Smi\u00adth"),
    "last name with an isolate": ("last_name", "Smi\u2066th"),
    "last name with a comma": ("last_name", "Smith, MD"),
    "last name turned round": ("last_name", "Smi\u202eth"),
    "phone of 9": ("phone", "123456789"),
    "phone of 16": ("phone", "1234567890123456"),
    "phone with letters": ("phone", "0800 FLOWERS"),
    "phone with Arabic digits": ("phone", "٠١٢٣٤٥٦٧٨٩"),
    "born today": ("date_of_birth", years_ago(0)),
    "age 12": ("date_of_birth", years_ago(13, days=1)),
    "age 121": ("date_of_birth", years_ago(121)),
    "born in the future": ("date_of_birth", "2999-01-01"),
    "born on 30 February": ("date_of_birth", "1990-02-30"),
    "born with a time": ("date_of_birth", "1990-01-01T00:00:00"),
    "born in another notation": ("date_of_birth", "31.12.1990"),
    "born in a week": ("date_of_birth", "1990-W01-1"),
    "born without hyphens": ("date_of_birth", "19900101"),
    "born in full-width digits": ("date_of_birth", "１９９０-01-01"),
    "born in year 0": ("date_of_birth", "0000-01-01"),
    "consent as text": ("marketing_emails_consent", "true"),
    "consent as a number": ("marketing_emails_consent", 1),
    "consent as an array": ("marketing_emails_consent", []),
}


@pytest.mark.parametrize(("field", "value"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(app, client, field, value):
    """The field is named, alone, and nothing is written."""
    body = registration(**{field: value})
    with clock.at(NOON):
        response = client.post("/api/v1/auth/register", json=body)
    assert fields_named(problem(response, 422, "invalid_input")) == [field]
    assert usage_of(response) == usage(0, 0, 0)
    if isinstance(value, str) and len(value) > 12:
        assert value not in response.text, "an error does not repeat what was sent"


WORDS_ABOUT_ADDRESSES = {
    "ann@localhost": "not on the internet",
    "ann@printer.local": "not on the internet",
    "ann@mail.test": "not on the internet",
    "ann@intranet": "not on the internet",
    "ann@sub.invalid": "not on the internet",
    "ann@": "such as name@example.com",
    "ann@.local": "such as name@example.com",
    "a b@mail.test": "such as name@example.com",
}


@pytest.mark.parametrize(("address", "words"), WORDS_ABOUT_ADDRESSES.items(), ids=WORDS_ABOUT_ADDRESSES.keys())
def test_what_is_wrong_with_an_address_is_said(client, address, words):
    [error] = problem(register(client, email=address), 422, "invalid_input")["errors"]
    assert words in error["message"]


@pytest.mark.parametrize("password", ["my {username} password", "XX{username}xx".upper(), "{email} is me"])
def test_a_password_with_the_name_in_it_is_refused(client, password):
    body = registration()
    body["password"] = password.replace("{USERNAME}", body["username"].upper()).format(**body)
    response = client.post("/api/v1/auth/register", json=body)
    assert fields_named(problem(response, 422, "invalid_input")) == ["password"]


def test_every_wrong_field_is_named_at_once(client):
    response = client.post("/api/v1/auth/register", json={"username": "a", "phone": 1})
    assert fields_named(problem(response, 422, "invalid_input")) == [
        "email",
        "first_name",
        "last_name",
        "password",
        "phone",
        "username",
    ]


def test_a_taken_username_or_address_is_a_conflict(app, client):
    first = registration()
    assert client.post("/api/v1/auth/register", json=first).status_code == 201
    problem(register(client, username=first["username"].upper()), 409, "username_taken")
    problem(register(client, email=first["email"].upper()), 409, "email_taken")
    problem(register(client, username=first["username"], email=first["email"]), 409, "username_taken")


def test_a_conflict_writes_nothing(app, client):
    """The free name is not taken by a registration that failed for its address, nor the other way round."""
    first, second = registration(), registration()
    assert client.post("/api/v1/auth/register", json=first).status_code == 201
    assert register(client, username=second["username"], email=first["email"]).status_code == 409
    assert register(client, username=first["username"], email=second["email"]).status_code == 409
    with app.app_context():
        assert find_user(second["username"]) is None
        assert EmailClaim.find(EmailClaim.key(second["email"])) is None
        assert find_user(first["username"]).email == first["email"]
    assert client.post("/api/v1/auth/register", json=second).status_code == 201


def test_the_password_is_never_answered(client):
    assert PASSWORD not in register(client).text
