// Looks up each FAMILY:NAME argument with getaddrinfo and prints what it got.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static void lookup(const char *question)
{
	const char *name = strchr(question, ':') + 1;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all;
	hints.ai_family = *question == '4' ? AF_INET : *question == '6' ? AF_INET6 : AF_UNSPEC;

	printf("%s", question);
	int err = getaddrinfo(name, NULL, &hints, &all);
	if (err == EAI_NONAME) {
		printf(" unknown\n");
		return;
	}
	if (err == EAI_NODATA) {
		printf(" no-address\n");
		return;
	}
	if (err) {
		printf(" failed: %s\n", gai_strerror(err));
		return;
	}
	for (struct addrinfo *a = all; a; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];
		const void *addr = a->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
							   : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
		printf(" %s", inet_ntop(a->ai_family, addr, text, sizeof text));
	}
	printf("\n");
	freeaddrinfo(all);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		lookup(argv[i]);
}
